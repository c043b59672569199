# Two commands do everything: `make demo` and `make test`. Each installs what it needs into .venv.

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: help install demo quick check test torture format clean

help:           ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 12

install: $(VENV)/demo.installed  ## make .venv with all that the demo needs

demo: $(VENV)/demo.installed  ## the whole loop on real text, some 3 minutes on two cores
	$(BIN)/headrace demo

quick: $(VENV)/demo.installed  ## the same in under 90 seconds, on less text
	$(BIN)/headrace demo --quick

check: $(VENV)/dev.installed  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

test: check  ## check, then every test; the 20 slowest are printed
	$(BIN)/pytest -n 2 --dist loadgroup --durations=20 -m "not torture"

torture: $(VENV)/dev.installed  ## the large counts of docs/reliability.md; takes hours
	$(BIN)/pytest -m torture --durations=20 -p no:randomly --timeout 0

format: $(VENV)/dev.installed  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:          ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch comes first and pinned: left to the resolver, it would come with gigabytes that a CPU never uses.
$(VENV)/torch.installed:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) $(TORCH)
	@touch $@

$(VENV)/demo.installed: $(VENV)/torch.installed pyproject.toml
	$(PIP) --editable ".[demo]"
	@touch $@

$(VENV)/dev.installed: $(VENV)/torch.installed pyproject.toml
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/demo.installed
