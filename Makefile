PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

lock: ## resolve again and write the hashed locks
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
