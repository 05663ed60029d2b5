# Everything a clean clone needs; only Python >= 3.11, make and git are assumed. Works from any folder: make -C <clone>.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
JOBS ?= auto

.PHONY: help install demo test test-nightly lint format bench lock clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: $(STAMP) ## Set up .venv with ocs and its tools

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it or set PYTHON."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## Watch a whole observatory work
	$(BIN)/ocs demo

test: install ## Run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not nightly" --cov --cov-report=term

test-nightly: install ## Run the tests with the big counts
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m nightly

lint: install ## Check style, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Put the code into the house's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Measure what the numbers promise
	$(BIN)/python -m bench

lock: install ## Resolve the dependencies anew, pinned by hash and without addresses
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --group dev --constraint requirements/runtime.txt pyproject.toml -o requirements/dev.txt

clean: ## Remove what was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage* dist build
