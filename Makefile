# Targets: test (default), check, bench, clean. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test check bench clean
test: .venv/ready
	$(BIN)/python -m pytest -n 2

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

bench: .venv/ready
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[figures]' --group test --group check
	touch $@
