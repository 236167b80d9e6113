# The commands of this project. Needs make and Python 3.11–3.13 with venv; everything else is installed into .venv.
# GNU make 3.81 (macOS) suffices: no .ONESHELL, no grouped targets. Nothing but ONCE's summary goes to standard output.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run reset test check compose-test crash crash-airflow bench mutants lock dev clean environment

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

run: environment ## start the whole pipeline on this machine; ONCE=1: one full cycle, its summary as JSON, and stop
	@exec $(BIN)/trading up $(if $(filter-out 0,$(ONCE)),--once)

reset: environment ## stop what runs, and delete the state in $TRADING_HOME (secrets stay)
	@exec $(BIN)/trading down --wipe

test: dev ## everything that proves it works
	@exec $(BIN)/python -m pytest -n auto --dist loadfile tests

check: dev ## lint, format, insecure calls, committed secrets, types, layers, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml trading dags plugins
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture
	@scripts/make-venv.sh "$(PYTHON)" lint tests/containers-lint.txt .venv/lint
	PATH="$$PWD/.venv/lint/bin:$$PATH" scripts/check-containers.sh

compose-test: dev ## docker-compose.yml in real containers, about ten minutes; skipped where there is no Docker engine
	@exec $(BIN)/python -m tests.compose

crash: dev ## the order path under every fault, about 20 minutes; FULL=1: the whole of docs/reliability.md, in hours
	@exec $(BIN)/python -m tests.crash $(if $(filter-out 0,$(FULL)),--full)

crash-airflow: dev ## hours of kills, pauses, zombies and clears on a real Airflow; ROUNDS=1: 15 minutes
	@exec $(BIN)/python -m tests.e2e.crash_airflow

bench: dev ## figures against their bars; ONLY=name for one of them
	@scripts/make-venv.sh "$(PYTHON)" bench tests/benchmarks/requirements.txt
	@exec $(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

mutants: dev ## alter the order path line by line: do the tests notice?; ONLY=module for one of its files
	@exec $(BIN)/python -m tests.mutation $(if $(ONLY),--only $(ONLY))

lock: ## resolve the dependencies again, with hashes (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate tests/requirements.in -o tests/requirements.txt
	cp requirements.txt requirements-compose.txt # what both need, both take in the same version, where that is possible
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --extra compose pyproject.toml -o requirements-compose.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate tests/containers-lint.in -o tests/containers-lint.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate tests/benchmarks/requirements.in -o tests/benchmarks/requirements.txt

dev: environment ## the environment with the tools of the tests and checks
	@scripts/make-venv.sh "$(PYTHON)" test tests/requirements.txt

environment:
	@scripts/make-venv.sh "$(PYTHON)" run requirements.txt

clean: ## delete the environment and every cache; the state in $TRADING_HOME stays
	rm -rf .venv build dist mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.trading/*' -prune -exec rm -rf {} +
