PYTHON ?= python
SECONDS ?= 600
KILLS ?= 50

.PHONY: check lint types test schema fuzz crash robustness

check: lint types test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

schema:
	$(PYTHON) tools/generate_schema.py

# Broken files for every reader; training that is killed; all of it, into docs/robustness.md.
fuzz:
	PYTHONPATH=. $(PYTHON) tools/fuzz.py --seconds $(SECONDS)

crash:
	PYTHONPATH=. $(PYTHON) tools/crash.py --kills $(KILLS)

robustness:
	$(PYTHON) tools/robustness.py
