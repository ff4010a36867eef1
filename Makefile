# Everything a fresh machine needs, from Python 3.11 on: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow dev check lint types imports surrogates demo-model orthanc clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'

$(VENV)/.base: $(BIN)/python pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) --editable '.[torch,segment,baselines,dicomweb,ray]' --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) --group dev
	@touch $@

demo: $(VENV)/.base  ## the whole story on synthetic images: protect, judge, restore, compare
	$(BIN)/medlocker demo --out medlocker-demo --overwrite

test: $(VENV)/.test  ## all quick tests
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-slow: $(VENV)/.test  ## slow tests; MEDLOCKER_DATA names a folder of real images
	$(BIN)/python -m pytest -m slow

dev: $(VENV)/.dev  ## everything for developers

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_imports.py

check: lint types imports test  ## what CI runs: format, lint, types, imports, quick tests

surrogates: $(VENV)/.test  ## train the models of the benchmarks (MEDLOCKER_DATA, about an hour)
	$(PIP) --group benchmarks
	$(BIN)/python benchmarks/surrogates.py

demo-model: $(VENV)/.test  ## train the demo's model again
	$(BIN)/python scripts/make_demo_model.py

orthanc: $(BIN)/python  ## two DICOM servers on this machine to try transfers with (Debian: orthanc, orthanc-dicomweb)
	$(BIN)/python scripts/orthanc.py

clean:
	rm -rf $(VENV) build dist medlocker-demo
