# make demo      train on scikit-learn's digits         make test    run the tests
# make test-all  the slow tests too                     make check   lint, format and types
# make bench     print the ratios of benchmarks/        make docs    make the pictures of docs/ again
# The first Python that runs and is new enough; being on the PATH is not enough for a pyenv shim.
FIND_PYTHON = for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))
VENV ?= .venv
BIN := $(VENV)/bin
# The exact versions that CI installs; CONSTRAINTS=/dev/null takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all check bench docs env-example clean

demo: $(VENV)/installed
	$(BIN)/clfctl train

test: $(VENV)/installed-dev
	$(PYTEST)

test-all: $(VENV)/installed-dev
	$(PYTEST) -m "not by_hand"

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/preview.py
	$(BIN)/python benchmarks/loop_overhead.py
	$(BIN)/python benchmarks/checkpoint.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python -m benchmarks.inference
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m tests.data.test_fuzz 20000
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python benchmarks/folder.py
	$(BIN)/python benchmarks/tracking.py

# The pictures and parameter tables of docs/lr-scheduling.md.
docs: $(VENV)/installed-dev
	$(BIN)/python -m tests.docs.pictures
	$(BIN)/python -m tests.docs.python

env-example: $(VENV)/installed-dev
	$(BIN)/python -m clfctl.settings.dump > .env.example

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/installed
