# Everything a fresh machine needs is Python 3.11+, make, git and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := configmapsync kube runtime reconciler webhook certs devcluster
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

venv: $(VENV)/.ready ## the virtual environment, from the hashed locks

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

kubectl: venv
	@$(BIN)/python hack/kubectl.py

helm: venv
	@$(BIN)/python hack/kubectl.py helm

demo: kubectl ## the whole story on a terminal, no cluster needed; KEEP=1 leaves it running
	$(BIN)/python -m demo $(if $(KEEP),--keep)

test: kubectl helm lint ## what CI runs
	$(BIN)/pytest -n $(WORKERS) --dist load tests/histories
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore=tests/histories --cov --cov-report=term:skip-covered

soak: venv ## other random histories than those of CI; HISTORIES=20000 says how many, BOOK=7 where chance begins
	HISTORIES=$(or $(HISTORIES),10000) BOOK=$(or $(BOOK),$(shell date +%s)) $(BIN)/pytest -n $(WORKERS) -v tests/histories --durations=0

lint: kubectl ## style, strict types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python hack/manifests.py --check
	$(BIN)/python hack/chart.py --check

lint-manifests: kubectl $(VENV)/checkov/.ready ## checkov on all that config/ installs
	@rm -rf build/manifests && mkdir -p build/manifests
	@for overlay in config/default config/overlays/*; do \
		$(BIN)/python hack/bundle.py --overlay $$overlay > build/manifests/$$(basename $$overlay).yaml || exit 1; done
	$(VENV)/checkov/bin/checkov --directory build/manifests

# Apart, because its hundred dependencies are pinned to versions of its own.
$(VENV)/checkov/.ready: requirements-checkov.lock
	$(PYTHON) -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-checkov.lock
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

lock: venv ## resolve again and write the hashed locks
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	echo "checkov>=3.2" | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet - -o requirements-checkov.lock
	echo setuptools | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet - -c requirements-dev.lock -o requirements-build.lock

clean: ## remove what was built here
	rm -rf $(VENV) build dist *.egg-info .demo

.PHONY: help venv kubectl helm demo test soak lint format lint-manifests manifests docker-build docker-push install uninstall deploy undeploy build-installer lock clean
