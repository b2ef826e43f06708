# Kairos: what one types. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV ?= .venv
export VENV
RUN := $(VENV)/bin
PYTEST := $(RUN)/python -m pytest
NAME ?= all
ARGS ?=
export PATH := $(CURDIR)/var/tools:$(PATH)

.PHONY: help setup demo up down status test check static fast-tests test-integration smoke bench soak proto format lock test-tools

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is needed, once: programs with apt where possible, Python packages by hash into .venv
	@deploy/setup.sh programs
	@deploy/setup.sh venv

demo: setup ## everything on this machine with a simulated city; Ctrl-C ends all (ARGS=--fresh starts empty)
	@exec $(RUN)/kairos up --demo $(ARGS)

up: setup ## the stack without a simulated city, in the background
	@$(RUN)/kairos up --detach $(ARGS)

down: ## stop the stack
	@$(RUN)/kairos down

status: ## the stack at a glance
	@$(RUN)/kairos status

check: setup static fast-tests ## format, lint, types, contracts, import rules, tests without servers

static:
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy schemas services tests benchmarks
	$(RUN)/python -m schemas.generate --check

fast-tests:
	$(PYTEST) -q -m "not integration and not end_to_end and not soak" tests/unit tests/property tests/contract tests/architecture $(ARGS)

test: export KAIROS_REQUIRE_SERVERS := 1
test: setup test-tools static ## every check and every tier of tests, with real servers
	$(PYTEST) -m "not soak" -n 2 --dist loadfile $(ARGS)

test-integration: export KAIROS_REQUIRE_SERVERS := 1
test-integration: setup ## the tests with real servers alone
	$(PYTEST) -m "integration and not soak" tests/contract tests/integration $(ARGS)

test-tools:
	@deploy/setup.sh test-tools

smoke: setup ## the whole path once, from nothing; the last line is JSON
	@$(RUN)/kairos smoke --json $(ARGS)

bench: setup ## the figures of docs/benchmarks.md (NAME=detector for one of them)
	@$(RUN)/kairos bench $(NAME) $(ARGS)

soak: export KAIROS_REQUIRE_SERVERS := 1
soak: setup ## the long runs
	$(PYTEST) -m soak --timeout 7200 $(ARGS)

proto: setup ## generate stubs and reference pages from the contracts
	$(RUN)/python -m schemas.generate
	@echo generated

lock: setup ## lock the dependencies of pyproject.toml again, with hashes
	$(RUN)/python -m pip install -q uv
	$(RUN)/uv pip compile -q --all-extras --generate-hashes pyproject.toml -o requirements.txt

format: setup ## format and sort imports
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .
