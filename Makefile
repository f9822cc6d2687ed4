# Every target bootstraps itself: Python 3.11, git and make are all a machine needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
IMAGE ?= samovar-endpoint
UPGRADE ?= --upgrade
STAMP := $(VENV)/.installed
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help install lock demo up down status check format test test-again test-transformers coverage e2e e2e-again accept bench bench-serving bench-autoserve bench-decisions bench-loop wheel image clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

install: $(STAMP) ## Create .venv with everything this repository needs

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Samovar needs Python 3.11 or newer: set PYTHON to one." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(LOCK) pyproject.toml | $(BIN)/uv
	@echo "Installing the locked dependencies into $(VENV) (once) ..."
	@$(UV) pip install --quiet --compile-bytecode --require-hashes -r $(LOCK)
	@$(UV) pip install --quiet --no-deps --no-build-isolation --compile-bytecode -e .
	@touch $@

lock: $(BIN)/uv ## Resolve the dependencies; UPGRADE= keeps the versions that are locked. The file holds no addresses
	$(BIN)/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 $(UPGRADE) \
	  --generate-hashes --no-header --no-annotate --quiet -o $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --extra standalone --constraints $(LOCK) --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet -o requirements/endpoint.txt
	echo hatchling | $(BIN)/uv pip compile - --constraints $(LOCK) --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet -o requirements/build.txt

demo: $(STAMP) ## Run the whole loop on iris and fraud and verify it from outside
	@$(BIN)/samovar demo $(ARGS)

up: $(STAMP) ## Start the local stack in the background
	@$(BIN)/samovar up --detach

down: $(STAMP) ## Stop the local stack
	@$(BIN)/samovar down

status: $(STAMP) ## Show what runs and what is served
	@$(BIN)/samovar status

check: $(STAMP) ## The gate: format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format and mend what can be mended mechanically
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

test: $(STAMP) ## Every test that needs no whole stack
	$(BIN)/pytest -m "not e2e" -n 2 --dist loadfile --durations=10

test-again: $(STAMP) ## The tests that failed in the last run, one after the other
	$(BIN)/pytest -m "not e2e" --last-failed --last-failed-no-failures none

test-transformers: $(STAMP) ## The kind distilbert, in an environment of its own with torch (downloads it once)
	benchmarks/transformers_kind.sh $(BIN)/python build/transformers -q -ra

coverage: $(STAMP) ## The tests of `make test`, with coverage (a fifth slower)
	$(BIN)/pytest -m "not e2e" -n 2 --dist loadfile --cov --cov-report=term:skip-covered

e2e: $(STAMP) ## The whole stack: the demo, its mutations, faults
	$(BIN)/pytest tests/e2e tests/autoserve/runtimes -m e2e --timeout 900 --durations=10

e2e-again: $(STAMP) ## The end-to-end tests that failed in the last run
	$(BIN)/pytest tests/e2e tests/autoserve/runtimes -m e2e --timeout 900 --last-failed --last-failed-no-failures none

accept: $(STAMP) ## Long and statistical measurements; writes docs/figures/*.json
	$(BIN)/python benchmarks/accept.py

bench: bench-serving ## The serving benchmark, its table and picture put into the documentation
	$(BIN)/python -m benchmarks.serving.publish

bench-serving: $(STAMP) ## Endpoints beside mlflow models serve and FastAPI; writes build/bench/serving.json
	$(BIN)/python -m benchmarks.serving $(ARGS)

bench-autoserve: $(STAMP) ## Alias moves: lossless, fast, dense; writes build/bench/autoserve.json
	$(BIN)/python -m benchmarks.autoserve $(ARGS)

bench-decisions: $(STAMP) ## How often the gate and the A/B test are wrong; writes build/bench/decisions.json
	$(BIN)/python benchmarks/decisions.py $(ARGS)

bench-loop: $(STAMP) ## Time and memory of the demo; writes build/bench/loop.json
	$(BIN)/python benchmarks/loop.py

wheel: $(STAMP) ## Build the wheel into dist/
	@$(UV) build --wheel --no-build-isolation --quiet --out-dir dist
	@ls dist

image: ## Build the endpoints' image; BUILD_ARGS passes a base image or an index
	docker build --file deploy/images/endpoint/Dockerfile --tag $(IMAGE) $(BUILD_ARGS) .

clean: ## Remove what was built and every local state
	rm -rf build dist .samovar .mypy_cache .ruff_cache .pytest_cache .coverage*
