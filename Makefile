# Everything a fresh machine needs, from Python 3.11 on: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-slow coverage dev check lint types imports doctests docs notebooks wheel
.PHONY: surrogates demo-model orthanc clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'

$(VENV)/.base: $(BIN)/python pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) --editable '.[torch,segment,baselines,dicomweb,ray,web,c2pa]' --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) --group dev
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(PIP) --group docs
	@touch $@

$(VENV)/.notebooks: $(VENV)/.test
	$(PIP) --group notebooks
	@touch $@

# each test process has one core; the tests of one file share what they need
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

demo: $(VENV)/.base  ## the whole story on synthetic images: protect, judge, restore, compare
	$(BIN)/medlocker demo --out medlocker-demo --overwrite

test: $(VENV)/.test  ## all quick tests
	$(PYTEST) -n 2 --dist loadfile -m 'not slow' $(PYTEST_OPTIONS)

test-fast: $(VENV)/.test  ## most of them in under a minute, for the loop at the desk
	$(PYTEST) -n 2 --dist loadfile -m 'not slow and not long'

test-slow: $(VENV)/.test  ## slow tests; MEDLOCKER_DATA names a folder of real images
	$(BIN)/python -m pytest -m slow $(PYTEST_OPTIONS)

coverage: PYTEST_OPTIONS += --cov --cov-report=term:skip-covered
coverage: test  ## all quick tests, and which lines they never reach; fails below the floor in pyproject.toml

doctests: $(VENV)/.test  ## the examples in docstrings
	$(PYTEST) --doctest-modules $$(grep -rl '>>>' src)

dev: $(VENV)/.dev  ## everything for developers

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_imports.py

docs: $(VENV)/.docs  ## build the documentation site into build/site; a warning is an error
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.notebooks  ## run the notebooks of docs/notebooks from beginning to end
	$(BIN)/python scripts/run_notebooks.py

wheel: $(BIN)/python  ## build the wheel into dist; it proves itself in an environment of its own
	$(BIN)/python scripts/prove_wheel.py --out dist

check: lint types imports doctests test  ## what CI runs: format, lint, types, imports, examples, quick tests

surrogates: $(VENV)/.test  ## train the models of the benchmarks (MEDLOCKER_DATA, about an hour)
	$(PIP) --group benchmarks
	$(BIN)/python benchmarks/surrogates.py

demo-model: $(VENV)/.test  ## train the demo's model again
	$(BIN)/python scripts/make_demo_model.py

orthanc: $(BIN)/python  ## two DICOM servers on this machine to try transfers with (Debian: orthanc, orthanc-dicomweb)
	$(BIN)/python scripts/orthanc.py

clean:
	rm -rf $(VENV) build dist medlocker-demo
