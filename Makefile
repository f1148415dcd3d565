# Everything a fresh machine needs is Python 3.11+, make, git and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests run side by side on the cores there are.
WORKERS ?= auto
# The image that is built and deployed, and the kustomization it is deployed with.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMG ?= configmapsync:$(VERSION)
# docker, podman or buildah; BUILD_FLAGS are for it: --platform, --build-arg PYTHON=..., --secret
CONTAINER_TOOL ?= docker
OVERLAY ?= config/default
KUBECTL = "$$($(BIN)/python hack/kubectl.py)"
BUNDLE = $(BIN)/python hack/bundle.py --overlay $(OVERLAY) --image $(IMG)

.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

# $(call locked_venv,FOLDER,LOCK): a new virtual environment with the pinned pip and exactly the packages of LOCK.
# With --no-deps pip resolves nothing, so the pip that Python ships and newer releases in the index do not matter;
# `pip check` fails if the lock lacks a dependency. An old environment is cleared, and with it its .ready.
PIP_INSTALL := install --quiet --disable-pip-version-check --no-deps
define locked_venv
	@echo "installing $(2) into $(1)"
	@$(PYTHON) -m venv $(if $(wildcard $(1)/pyvenv.cfg),--clear) $(1)
	@$(1)/bin/python -m pip $(PIP_INSTALL) --require-hashes -r requirements-pip.lock
	@$(1)/bin/python -m pip $(PIP_INSTALL) --require-hashes -r $(2)
	@problems=$$($(1)/bin/python -m pip check) || { echo "$(2) is incomplete: $$problems" >&2; exit 1; }
endef

venv: $(VENV)/.ready ## the virtual environment, from the hashed locks

$(VENV)/.ready: requirements-dev.lock requirements-pip.lock pyproject.toml packages/devcluster/pyproject.toml
	$(call locked_venv,$(VENV),requirements-dev.lock)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip $(PIP_INSTALL) --no-build-isolation --editable . --editable packages/devcluster
	@touch $@

kubectl: venv
	@$(BIN)/python hack/kubectl.py

helm: venv
	@$(BIN)/python hack/kubectl.py helm

demo: kubectl ## the whole story on a terminal, no cluster needed; KEEP=1 leaves it running
	$(BIN)/python -m demo $(if $(KEEP),--keep)

test: kubectl helm lint ## what CI runs
	$(BIN)/pytest -n $(WORKERS) --dist load tests/randomized
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore=tests/randomized --cov --cov-report=term:skip-covered

soak: venv ## random runs with other seeds than CI; RUNS=20000 sets their number, SEED=7 the first seed
	RUNS=$(or $(RUNS),10000) SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/pytest -n $(WORKERS) -v tests/randomized --durations=0

lint: kubectl ## style, strict types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python hack/manifests.py --check
	$(BIN)/python hack/chart.py --check

prose: venv ## the words of docstrings, comments, logs and Markdown; ONLY="kube docs" limits it
	$(BIN)/python hack/prose.py $(if $(ONLY),--only $(ONLY))

lint-manifests: kubectl $(VENV)/checkov/.ready ## checkov on all that config/ installs
	@rm -rf build/manifests && mkdir -p build/manifests
	@for overlay in config/default config/overlays/*; do \
		$(BIN)/python hack/bundle.py --overlay $$overlay > build/manifests/$$(basename $$overlay).yaml || exit 1; done
	$(VENV)/checkov/bin/checkov --directory build/manifests

# checkov and uv have environments of their own, because their dependencies are pinned to other versions. Both lie
# inside $(VENV), so they are made again after it.
$(VENV)/%/.ready: requirements-%.lock requirements-pip.lock $(VENV)/.ready
	$(call locked_venv,$(VENV)/$*,requirements-$*.lock)
	@touch $@

format: venv ## let ruff format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

manifests: kubectl ## write what is generated: CRD, roles, reference pages from the code, the chart from config/
	$(BIN)/python hack/manifests.py
	$(BIN)/python hack/chart.py

docker-build: ## the image IMG, with CONTAINER_TOOL (docker, podman, buildah)
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_FLAGS) --tag $(IMG) .

docker-push: ## the image to its registry
	$(CONTAINER_TOOL) push $(IMG)

install: kubectl ## the CRD alone, on the cluster of your kubeconfig
	$(KUBECTL) apply -k config/crd
# a definition that is a moment old has no conditions yet, and kubectl will not wait for one of null
	$(KUBECTL) wait --for=jsonpath='{.status.acceptedNames.kind}'=ConfigMapSync --timeout=30s crd/configmapsyncs.apps.nishaf.info
	$(KUBECTL) wait --for=condition=Established --timeout=30s crd/configmapsyncs.apps.nishaf.info

uninstall: kubectl ## the CRD and every sync; copies go or stay by their deletionPolicy. Before undeploy, while somebody can clean up
	$(BIN)/python hack/uninstall.py

deploy: kubectl ## all of OVERLAY (config/default) with IMG; upgrades as well
	$(KUBECTL) delete jobs --all-namespaces --selector app.kubernetes.io/name=configmapsync,app.kubernetes.io/component=certs
	$(BUNDLE) | $(KUBECTL) apply -f -

undeploy: kubectl ## all of OVERLAY but the CRD: syncs and copies stay as they are
	$(BUNDLE) | $(KUBECTL) delete --ignore-not-found --selector app.kubernetes.io/component!=crd -f -

build-installer: kubectl ## dist/install.yaml: all of OVERLAY with IMG in one file
	@mkdir -p dist
	$(BUNDLE) > dist/install.yaml

# With --no-strip-extras a lock says `coverage[toml]==...`: pip before 23.1 does not match a plain pin to a requirement with extras.
COMPILE = $(VENV)/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-header --quiet $(if $(UPGRADE),--upgrade)
lock: $(VENV)/uv/.ready ## write the hashed locks again; UPGRADE=1 takes the newest releases
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml packages/devcluster/pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	echo "checkov>=3.2" | $(COMPILE) - -o requirements-checkov.lock
	echo setuptools | $(COMPILE) - -c requirements-dev.lock -o requirements-build.lock
	echo pip | $(COMPILE) - -o requirements-pip.lock
	echo uv | $(COMPILE) - -o requirements-uv.lock

clean: ## remove what was built here
	rm -rf $(VENV) build dist *.egg-info packages/*/build packages/*/*.egg-info .demo

.PHONY: help venv kubectl helm demo test soak lint prose format lint-manifests manifests docker-build docker-push install uninstall deploy undeploy build-installer lock clean
