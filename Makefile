# Targets: test (default), demo, check, bench, clean. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test demo check bench clean
test: .venv/ready
	$(BIN)/python -m pytest -n 2

demo: .venv/core
	$(BIN)/testtime demo

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

bench: .venv/ready
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv

.venv/core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[figures]'
	touch $@

.venv/ready: .venv/core
	$(BIN)/python -m pip install --quiet --group test --group check
	touch $@
