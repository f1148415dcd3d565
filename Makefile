# Requirements: Python 3.11+, make, git and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The number of test processes; auto is one for each core.
WORKERS ?= auto
# The image to build and deploy, and the kustomization to deploy.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMG ?= configmapsync:$(VERSION)
# The repository for the labels of the image; an address for git over SSH becomes one for browsers.
SOURCE ?= $(shell git remote get-url origin 2>/dev/null | sed -E 's#^(ssh://)?git@([^:/]+)[:/]#https://\2/#; s#\.git$$##')
# docker, podman or buildah. BUILD_FLAGS are passed to it: --platform, --build-arg, --secret
CONTAINER_TOOL ?= docker
OVERLAY ?= config/default
KUBECTL = "$$($(BIN)/python hack/kubectl.py)"
BUNDLE = $(BIN)/python hack/bundle.py --overlay $(OVERLAY) --image $(IMG)

.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

# $(call locked_venv,FOLDER,LOCK): create a virtual environment with the packages of LOCK.
# With --no-deps pip resolves nothing, so the version of pip and newer releases do not matter.
# `pip check` fails if the lock lacks a dependency. An old environment is cleared with its .ready.
PIP_INSTALL := install --quiet --disable-pip-version-check --no-deps
define locked_venv
	@echo "installing $(2) into $(1)"
	@$(PYTHON) -m venv $(if $(wildcard $(1)/pyvenv.cfg),--clear) $(1)
	@$(1)/bin/python -m pip $(PIP_INSTALL) --require-hashes -r requirements-pip.lock
	@$(1)/bin/python -m pip $(PIP_INSTALL) --require-hashes -r $(2)
	@problems=$$($(1)/bin/python -m pip check) || { echo "$(2) is incomplete: $$problems" >&2; exit 1; }
endef

venv: $(VENV)/.ready ## create the virtual environment from the locks

$(VENV)/.ready: requirements-dev.lock requirements-pip.lock pyproject.toml packages/devcluster/pyproject.toml
	$(call locked_venv,$(VENV),requirements-dev.lock)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip $(PIP_INSTALL) --no-build-isolation --editable . --editable packages/devcluster
	@touch $@

kubectl: venv
	@$(BIN)/python hack/kubectl.py

helm: venv
	@$(BIN)/python hack/kubectl.py helm

demo: kubectl ## show the operator at work; KEEP=1 leaves it running, CLUSTER=existing, VERBOSE=1
	@$(BIN)/python -m demo $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(KEEP),--keep) $(if $(VERBOSE),--verbose)

RANDOM_TESTS := tests/randomized tests/sweep tests/mutants
# Coverage of the rules is measured in the tests that are made for them: it slows the others down.
RULES_TESTS := tests/configmapsync tests/webhook

test: kubectl helm lint docs ## run the linters and all tests, as CI does
	$(BIN)/pytest -n $(WORKERS) --dist load $(RANDOM_TESTS)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered $(RULES_TESTS)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(addprefix --ignore=,$(RANDOM_TESTS) $(RULES_TESTS))

soak: venv ## run random histories, then random pairs of the sweep without end; RUNS=20000, SECONDS=3600 and SEED=7 limit it
	RUNS=$(or $(RUNS),10000) SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/pytest -n $(WORKERS) -v tests/randomized --durations=0
	$(BIN)/python -m tests.sweep --random --seed $(or $(SEED),$(shell date +%s)) $(if $(RUNS),--runs $(RUNS)) $(if $(SECONDS),--seconds $(SECONDS))

bench: kubectl ## compare the reconciler with a plain client; ROUNDS=2 is shorter, PAGES=1 updates docs/
	$(BIN)/python -m benchmarks --output build/benchmarks $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PAGES),--write-pages)

lint: kubectl ## check style, prose, types, import contracts and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python hack/manifests.py --check
	$(BIN)/python hack/chart.py --check
	$(BIN)/python hack/prose.py

prose: venv ## check docstrings, comments, logs and Markdown; ONLY="kube docs" limits it
	$(BIN)/python hack/prose.py $(if $(ONLY),--only $(ONLY))

lint-manifests: kubectl $(VENV)/checkov/.ready ## run checkov on all manifests of config/
	@rm -rf build/manifests && mkdir -p build/manifests
	@for overlay in config/default config/overlays/*; do \
		$(BIN)/python hack/bundle.py --overlay $$overlay > build/manifests/$$(basename $$overlay).yaml || exit 1; done
	$(VENV)/checkov/bin/checkov --directory build/manifests

# checkov, Sphinx and uv need other versions of packages, so each has an environment inside of $(VENV).
$(VENV)/%/.ready: requirements-%.lock requirements-pip.lock $(VENV)/.ready
	$(call locked_venv,$(VENV)/$*,requirements-$*.lock)
	@touch $@

format: venv ## format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

manifests: kubectl ## generate the CRD, the roles, two pages in docs/, and the chart
	$(BIN)/python hack/manifests.py
	$(BIN)/python hack/chart.py

pictures: venv ## draw docs/page-*.png; needs Chromium
	$(BIN)/python -m tests.page.pictures

docker-build: ## build the image IMG with CONTAINER_TOOL (docker, podman, buildah)
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE=$(SOURCE) $(BUILD_FLAGS) --tag $(IMG) .

docker-push: ## push the image IMG
	$(CONTAINER_TOOL) push $(IMG)

install: kubectl ## install the CRD only
	$(KUBECTL) apply -k config/crd
# A new CRD has no conditions yet, and `kubectl wait` fails without conditions.
	$(KUBECTL) wait --for=jsonpath='{.status.acceptedNames.kind}'=ConfigMapSync --timeout=30s crd/configmapsyncs.apps.nishaf.info
	$(KUBECTL) wait --for=condition=Established --timeout=30s crd/configmapsyncs.apps.nishaf.info

uninstall: kubectl ## delete all syncs and the CRD; run it before undeploy
	$(BIN)/python hack/uninstall.py

deploy: kubectl ## install or upgrade OVERLAY (config/default) with IMG
	$(KUBECTL) delete jobs --all-namespaces --selector app.kubernetes.io/name=configmapsync,app.kubernetes.io/component=certs
	$(BUNDLE) | $(KUBECTL) apply -f -

undeploy: kubectl ## delete OVERLAY except the CRD; syncs and copies stay
	$(BUNDLE) | $(KUBECTL) delete --ignore-not-found --selector app.kubernetes.io/component!=crd -f -

build-installer: kubectl ## write OVERLAY with IMG to dist/install.yaml
	@mkdir -p dist
	$(BUNDLE) > dist/install.yaml

# pip before 23.1 does not match a pin without extras to a requirement with extras, so the locks
# keep the extras.
COMPILE = $(VENV)/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-header --quiet $(if $(UPGRADE),--upgrade)
lock: $(VENV)/uv/.ready ## write the locks; UPGRADE=1 takes the newest releases
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml packages/devcluster/pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	echo "checkov>=3.2" | $(COMPILE) - -o requirements-checkov.lock
	printf "sphinx>=9\nmyst-parser>=5\nfuro>=2025\n" | $(COMPILE) - -o requirements-docs.lock
	echo setuptools | $(COMPILE) - -c requirements-dev.lock -o requirements-build.lock
	echo pip | $(COMPILE) - -o requirements-pip.lock
	echo uv | $(COMPILE) - -o requirements-uv.lock

docs: $(VENV)/docs/.ready ## build the documentation as a site in build/site, and check its links
	$(VENV)/docs/bin/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky docs build/site

clean: ## delete the environments and build results
	rm -rf $(VENV) build dist *.egg-info packages/*/build packages/*/*.egg-info .demo

.PHONY: help venv kubectl helm demo test soak bench lint prose format lint-manifests manifests pictures docker-build docker-push install uninstall deploy undeploy build-installer lock docs clean
