# Everything runs from .venv, which is made from the pinned requirements the first time and again when they change.
# A newer interpreter by name where `python3` itself is too old.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PORT ?= 9000
TESTS ?=
CHECK ?=
QUICK ?=

.PHONY: sandbox test venv check format lock bench

sandbox: venv
	@exec $(BIN)/python -m service.sandbox --port $(PORT)

test: venv
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TESTS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

check: venv
	$(BIN)/python tools/lock.py --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# CHECK=1 fails if a ratio has become worse; QUICK=1 takes two minutes instead of fourteen.
bench: venv
	$(BIN)/python -m benchmarks $(if $(CHECK),--check) $(if $(QUICK),--quick)

lock: venv
	$(BIN)/python tools/lock.py

venv: .venv/complete

# The stamp comes last, so that an interrupted installation is not taken for a finished one.
.venv/complete: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
