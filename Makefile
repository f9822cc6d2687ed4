# Every target bootstraps itself: Python 3.11, git and make are all a machine needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
STAMP := $(VENV)/.installed
FIGURES := docs/figures

.DEFAULT_GOAL := help
.PHONY: help install lock demo up down status check test e2e accept wheel clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2}'

install: $(STAMP) ## Create .venv with everything this repository needs

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Samovar needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(LOCK) pyproject.toml | $(BIN)/uv
	@echo "Installing locked dependencies into $(VENV) (once; a few minutes on a first run) ..."
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r $(LOCK)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

lock: $(BIN)/uv ## Resolve dependencies again (no addresses in the file)
	$(BIN)/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet -o $(LOCK)

demo: $(STAMP) ## Run the whole loop on iris and fraud and verify it
	$(BIN)/samovar demo

up: $(STAMP) ## Start the local stack in the background
	$(BIN)/samovar up --detach

down: $(STAMP) ## Stop the local stack
	$(BIN)/samovar down

status: $(STAMP) ## Show what runs and what is served
	$(BIN)/samovar status
