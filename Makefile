# Everything runs from .venv, which is made from the pinned requirements the first time and again when they change.
# A newer interpreter by name where `python3` itself is too old.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PORT ?= 9000
STORE ?= one
ARGS ?=
TESTS ?=
CHECK ?=
QUICK ?=
COVERAGE ?=
IMAGE ?= zis-job-specs
BASE ?=
BUILDER ?=
# Processes that tests run in; empty: two for each processor (auto), for `make quick` one (logical; tests/scheduling.py).
WORKERS ?=
PYTEST := -m pytest --maxprocesses 8 -n
MANY := $(or $(WORKERS),auto)

# Where it is set, every process compiles the service and the tests anew, which is half of what a short run takes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: sandbox test quick slow nightly mutants venv check format lock bench image

# STORE=sentinel or cluster keeps the data in a group of servers. ARGS="--mode direct --set LIST_CACHE_SECONDS=0" reaches its other modes; ARGS=--help names them.
sandbox: venv
	@exec $(BIN)/python -m sandbox --port $(PORT) --store $(STORE) $(ARGS)

# FULL=1 searches every schedule of the model and gives the fuzzers ten times the cases; COVERAGE=1 measures and reports
# what was run, also where a test failed.
test: venv
ifeq ($(COVERAGE),1)
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) $(MANY) $(TESTS); status=$$?; \
	$(BIN)/coverage combine -q && $(BIN)/coverage report; exit $$status
else
	$(BIN)/python $(PYTEST) $(MANY) $(TESTS)
endif

# Without what starts a browser, gunicorn or a store of its own, without the model, and without what takes long.
WITHIN := not browser and not processes and not model and not faults and not load
# Nothing waits long in it, and each process has to collect all tests, which is a quarter of the time.
quick: venv
	$(BIN)/python $(PYTEST) $(or $(WORKERS),logical) -m "$(WITHIN) and not slow" $(TESTS)

# Lists again what `make quick` leaves out because it takes long: on an idle machine, and one test after another.
slow: venv
	$(BIN)/python -m pytest -m "$(WITHIN)" --note-slow 0.07

# What takes too long for every change: each mutant, every fault of the store on each kind of it, twenty failovers of each
# kind, all that needs a browser in Firefox, and the model with one interruption and one fault more.
nightly: mutants
	FULL=1 STORES=all STORE_ROUNDS=20 $(BIN)/python $(PYTEST) $(MANY)
	BROWSER=firefox $(BIN)/python $(PYTEST) $(MANY) tests/browser tests/sandbox -m browser
	TOKEN_MODEL_DEPTH=1 TOKEN_MODEL_SCHEDULES=20000 $(BIN)/python $(PYTEST) $(MANY) tests/model/test_token_hand_out.py

mutants: venv
	$(BIN)/python -m tests.mutants $(TESTS)

check: venv
	$(BIN)/python tools/lock.py --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	DENO_NO_UPDATE_CHECK=1 $(BIN)/deno lint --quiet
	DENO_NO_UPDATE_CHECK=1 $(BIN)/deno check --quiet service/static/zis-client.js tests/zis_client_types.ts

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# CHECK=1 fails if a ratio has become worse; QUICK=1 takes two minutes instead of fourteen.
bench: venv
	$(BIN)/python -m benchmarks $(if $(CHECK),--check) $(if $(QUICK),--quick)

# By the first builder that works: docker's program is often there without its daemon. BASE=debian:13-slim is another
# base, IMAGE= another name; ARGS="--build-arg PIP_INDEX_URL=…" for whatever else the builder takes. Only docker's own
# format of images has a health check; podman and buildah make another one unless they are told.
image:
	@for builder in $(or $(BUILDER),docker podman buildah); do \
	  $$builder info > /dev/null 2>&1 || continue; \
	  case $$builder in *docker) format= ;; *) format="--format docker" ;; esac; \
	  set -x; \
	  exec $$builder build $$format $(if $(BASE),--build-arg BASE=$(BASE)) \
	    --build-arg COMMIT=$$(git rev-parse HEAD 2> /dev/null) --tag $(IMAGE) $(ARGS) .; \
	done; \
	echo "docker, podman or buildah is needed, and none works here (is docker's daemon running?)" >&2; exit 1

lock: venv
	$(BIN)/python tools/lock.py

venv: .venv/complete

# The stamp comes last, so that an interrupted installation is not taken for a finished one.
.venv/complete: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
