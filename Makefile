# `make setup` once, then `make test lint`; `make demo` needs nothing but git and Python 3.11 or newer.
#
# What is installed is remembered in a stamp named after pyproject.toml's content, so that nothing is done,
# and no network needed, until that changes. Python compiles what it uses at first use: pip would compile all,
# which takes longer than the rest of the installation.

VENV := .venv
BIN := $(VENV)/bin
WANTED := $(firstword $(shell cksum pyproject.toml))
DEV_STAMP := $(VENV)/installed-dev-$(WANTED)
# The development set includes all that the demo needs.
DEMO_STAMP := $(firstword $(wildcard $(DEV_STAMP)) $(VENV)/installed-demo-$(WANTED))

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-ontap test lint format bench docs clean
.DELETE_ON_ERROR:

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' Makefile

setup: $(DEV_STAMP)  ## make .venv with all that development needs
	@echo "ready: $(VENV)"

demo: $(DEMO_STAMP)  ## train, snapshot, gate, lose and recover real models in a throw-away repository
	@$(BIN)/mlsnap demo $(DEMO)

demo-ontap: $(DEV_STAMP)  ## the same on an emulated NetApp ONTAP cluster
	@$(BIN)/python -m tests.ontap.demo $(DEMO)

# Each of the many processes would compile again what was not kept.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(DEV_STAMP)  ## run all tests that this machine can, and list what it could not (TESTS="-k gate" for some)
	@$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(TESTS)

lint: $(DEV_STAMP)  ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check . || { echo "run: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(DEV_STAMP)  ## put the code into its form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: $(DEV_STAMP)  ## measure against cp, python, btrfs, dvc …, in ratios (BENCH=--short for the quick form)
	@$(BIN)/python -m benchmarks $(BENCH)

docs: $(DEV_STAMP)  ## write the generated pages again
	@$(BIN)/python -m ci_mlsnap.config.reference
	@$(BIN)/python actions/generate.py
	@$(BIN)/python -m tests.jenkins_library.steps

.PHONY: tools lock
tools: $(DEV_STAMP)  ## install what runs and checks workflows, act and actionlint, into .venv (needs go)
	@GOBIN=$(CURDIR)/$(BIN) go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@GOBIN=$(CURDIR)/$(BIN) go install github.com/nektos/act@v0.2.89

lock:  ## write anew what the action installs, by hash
	@.ci/lock

clean:  ## remove what was made here, the .venv included
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed-%-$(WANTED): pyproject.toml
	@.ci/make-venv $(VENV)
	@echo "installing mlsnap[$*] into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '.[$*]'
	@rm -f $(VENV)/installed-$*-*
	@touch $@
