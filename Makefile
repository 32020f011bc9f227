# slipway: two commands are all that a newcomer needs, `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
RUN := $(VENV)/bin/python
UV_VERSION := 0.13.9
TESTBED := $(RUN) -m testbed
RUNTIME := $(RUN) -m runtime
# The application is shipped in images with dependencies of their own, so its tests run with exactly those.
APP_VENV := .cache/app-backend-venv
APP_TEST := $(APP_VENV)/bin/python -m pytest -c include/app/backend/pyproject.toml --rootdir=.

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: up ## set everything up, then release 0.9.0, 1.0.0 and a bad 1.0.1 under traffic, before your eyes
	@$(RUNTIME) up
	@eval "$$($(RUNTIME) env)"; $(RUN) -m demo

.PHONY: test
test: check up ## all tests, on a real cluster: unit, integration, end to end
	@echo "== chart: rendered by Helm, held against the kinds of Kubernetes"
	@$(RUN) -m pytest tests/charts -q
	@echo "== DAGs: structure, parse time, what they import"
	@$(RUN) -m pytest tests/dags -q
	@echo "== integration tests: ledger, notifications, images, scanner"
	@$(RUN) -m pytest tests/integration --ignore=tests/integration/app -q --durations=5
	@echo "== integration tests: the application on a real PostgreSQL and Redis"
	@$(APP_TEST) tests/integration/app -q -n 2
	@echo "== end-to-end tests on the testbed"
	@$(RUN) -m pytest tests/e2e --durations=10 -m "not slow"

.PHONY: test-slow
test-slow: up ## the rest of the faults, and what waits for something to run out: about half an hour
	@$(RUN) -m pytest tests/e2e --durations=10 -m slow

.PHONY: check
check: $(VENV)/.ready $(APP_VENV)/.ready ## the inner loop, under two minutes: format, lint, types, unit tests
	@echo "== format"; $(VENV)/bin/ruff format --check .
	@echo "== lint"; $(VENV)/bin/ruff check .
	@echo "== types"; $(VENV)/bin/mypy
	@echo "== unit tests"; $(RUN) -m pytest tests/unit -q -n 2 --dist loadfile
	@echo "== unit tests of the application, in its own environment"; $(APP_TEST) tests/unit/app/backend -q -n 2

.PHONY: fix
fix: $(VENV)/.ready ## format the code, and mend what the linter can mend
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

.PHONY: up
up: $(VENV)/.ready ## bring the testbed up: a real Kubernetes of three nodes on this machine
	@$(TESTBED) up

.PHONY: down
down: $(VENV)/.ready ## end Airflow and the testbed, and remove every trace of them
	@$(RUNTIME) down
	@$(TESTBED) down

.PHONY: bench
bench: up ## measure the figures of benchmarks/, about an hour
	@$(RUN) -m benchmarks.judge
	@$(RUN) -m benchmarks.application
	@$(RUN) -m benchmarks.release
	@$(RUN) -m benchmarks.testbed

.PHONY: lock
lock: $(VENV)/.ready ## pin requirements.txt anew from pyproject.toml
	@$(VENV)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --quiet --upgrade --output-file requirements.txt

# The environment is made again when the pins or the project's metadata change; otherwise this costs one stat.
$(VENV)/.ready: requirements.txt pyproject.toml
	@scripts/bootstrap.sh $(VENV) $(UV_VERSION)
	@touch $@

$(APP_VENV)/.ready: include/app/backend/requirements-dev.txt $(VENV)/.ready
	@echo "installing what the application's requirements-dev.txt pins"
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python $(APP_VENV)
	@$(VENV)/bin/uv pip sync --quiet --require-hashes --python $(APP_VENV)/bin/python $<
	@touch $@
