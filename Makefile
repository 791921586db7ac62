# `make demo` and `make test` need only Python >= 3.11, make and a package index.

# An interpreter that can load SQLite extensions is preferred; any other works.
CANDIDATES := python3.13 python3.12 python3.11 python3 /usr/bin/python3 python
FIND = for p in $(CANDIDATES); do $$p -c "import sys, sqlite3, venv, ensurepip; c = sqlite3.connect(':memory:'); \
  sys.exit(sys.version_info < (3, 11) or $(1))" 2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(call FIND,not hasattr(c, 'enable_load_extension')))
ifeq ($(strip $(PYTHON)),)
PYTHON := $(shell $(call FIND,False))
endif

VENV := .venv
BIN := $(VENV)/bin
FOLDER ?= examples/library

# A quarter of the start of each of the tests' processes would go into compiling the same modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR: # half an environment is none
.PHONY: help demo test check unit bench references lock docs clean

help: ## Show what can be made.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(VENV)/runtime ## Index a small folder and search it (FOLDER=… for your own).
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh "$(FOLDER)"

test: check unit ## Everything that must hold: `check`, and all tests with coverage.

check: $(VENV)/dev ## Format, lint, types, layers, generated docs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
# Its cache knows modules that were moved away.
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/sizes.py
	$(BIN)/python tools/docs.py --check

unit: $(VENV)/dev
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --cov --cov-report=

bench: $(VENV)/dev ## Measure speed, memory and quality beside peers (BENCH=… for a part).
	$(BIN)/python -m benchmarks.run $(BENCH)

docs: $(VENV)/dev ## Write the generated parts of the docs anew.
	$(BIN)/python tools/docs.py

references: $(VENV)-references/done ## Write what independent implementations make of random weights.
	$(VENV)-references/bin/python tools/references.py

$(VENV)-references/done: tools/requirements-references.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-references
	$(VENV)-references/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

lock: $(VENV)/dev ## Choose versions anew and write them with their hashes.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tools/lock.py

clean: ## Remove what was made here.
	rm -rf $(VENV) $(VENV)-references .bench build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "embedwell needs Python 3.11 or newer with venv; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
