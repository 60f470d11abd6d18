# `make serve` starts a server, `make test` checks everything. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# nothing is installed but the files whose hashes are in the lock files, from whatever index
LOCKED := $(PIP) install --require-hashes --requirement
ITSELF := $(PIP) install --no-deps --no-index --no-build-isolation --editable .
LOCK_VENV := .venv-lock
RESULTS := .test-results
HYPHA_HOST ?= 127.0.0.1
HYPHA_PORT ?= 9527
HYPHA_DATA_DIR ?= ./hypha-data
ARGS ?=
PYTEST_ARGS ?=
SEED ?=
MINUTES ?= 1
BENCH ?= ../shared/bench

# the files with the most work first, the many small ones last, so that both workers end at the same time
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# each server of the tests would compile all modules anew
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv serve test test-quick test-all coverage wheel chaos check lint format machine spec bench docs editor lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/' | column -t -s '|'

$(VENV)/.created:
	@$(PYTHON) tools/check_machine.py python
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml requirements.lock
	@echo "Installing the server into $(VENV) ..."
	@$(LOCKED) requirements.lock
	@$(ITSELF)
	@touch $@

$(VENV)/.tests: $(VENV)/.runtime requirements-dev.lock requirements-clients.lock
	@echo "Installing the test tools into $(VENV) ..."
	@$(LOCKED) requirements-dev.lock
	@$(LOCKED) requirements-clients.lock --no-deps
	@touch $@

tests/js/node_modules/.ready: tests/js/package.json tests/js/package-lock.json
	@$(PYTHON) tools/check_machine.py node
	@cd tests/js && npm ci --no-audit --no-fund --silent --loglevel=error
	@touch $@

venv: $(VENV)/.tests ## Make the virtual environment with everything in it

serve: $(VENV)/.runtime ## Start a server (HYPHA_HOST, HYPHA_PORT, HYPHA_DATA_DIR, ARGS="...")
	@exec $(BIN)/python -m hypha.server --host "$(HYPHA_HOST)" --port "$(HYPHA_PORT)" --data-dir "$(HYPHA_DATA_DIR)" $(ARGS)

machine: $(VENV)/.tests tests/js/node_modules/.ready
	@$(PYTHON) tools/check_machine.py browser

check: lint ## Format, lint, types, layers, sizes, unit and docs tests
	@$(BIN)/pytest -q $(PARALLEL) tests/test_layers.py tests/test_sizes.py tests/docs/test_options_documented.py tests/unit $(PYTEST_ARGS)

lint: $(VENV)/.tests
	@$(BIN)/ruff format --quiet --check . || { echo "Run 'make format' to lay out the files above."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

test: machine lint ## Everything that must be green before a change lands
	@mkdir -p $(RESULTS)
	@$(BIN)/pytest -q $(PARALLEL) -m "not slow" --junitxml=$(RESULTS)/junit.xml $(PYTEST_ARGS)

test-all: machine lint ## `make test` and the slow tests
	@mkdir -p $(RESULTS)
	@$(BIN)/pytest -q $(PARALLEL) --junitxml=$(RESULTS)/junit.xml $(PYTEST_ARGS)

chaos: $(VENV)/.tests tests/js/node_modules/.ready ## Break links and restart the server at random (SEED=, MINUTES=)
	@$(BIN)/python -m hypha.testing.chaos --node-folder tests/js --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

test-quick: $(VENV)/.tests ## The tests that need no server
	@$(BIN)/pytest -q $(PARALLEL) tests/unit tests/test_layers.py tests/test_sizes.py $(PYTEST_ARGS)

# tests that measure time may fail while they are watched: the report is made all the same
coverage: $(VENV)/.tests ## What unit, contract and wire tests leave uncovered of the parts that must not fail
	@mkdir -p $(RESULTS)
	@$(BIN)/coverage erase
	-@$(BIN)/coverage run -m pytest -q $(PARALLEL) -m "not slow" tests/unit tests/wire $(wildcard tests/contract) $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

format: $(VENV)/.tests ## Lay out and tidy the source
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

wheel: $(VENV)/.tests ## Build the package into dist/, pages included
	@$(BIN)/python -m hatchling build -t wheel -d dist

docs: $(VENV)/.runtime ## Write the generated pages of docs/ anew
	@$(BIN)/python tools/write_docs.py

spec: $(VENV)/.tests ## Which items of the specification have a passing test
	@$(BIN)/python tools/spec_report.py

bench: $(VENV)/.tests ## Measure the server (needs the benchmark beside the repository, BENCH=folder)
	@test -f $(BENCH)/bench.py || { echo "No benchmark at $(BENCH): name its folder with BENCH=..."; exit 1; }
	@$(BIN)/python $(BENCH)/bench.py --name hypha --port 9600 --spawn "$(abspath $(BIN))/python -m hypha.server --host 127.0.0.1 --port {port} --data-dir :memory: --static-mounts /bench-static:{static}" --static-path /bench-static/1m.bin $(ARGS)

$(LOCK_VENV)/.created: tools/lock-tool.lock
	@$(PYTHON) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/pip --disable-pip-version-check --quiet install --require-hashes --requirement tools/lock-tool.lock
	@touch $@

editor: ## Build the editor of the console anew, from what tools/editor locks
	@cd tools/editor && npm ci --no-audit --no-fund --silent --loglevel=error --ignore-scripts
	@node tools/editor/node_modules/esbuild/bin/esbuild tools/editor/editor.js --bundle --minify --format=esm --legal-comments=none \
		--log-level=error --outfile=hypha/console/static/code-editor.js
	@cp tools/editor/node_modules/prism-code-editor/dist/layout.css hypha/console/static/code-editor.css

lock: $(LOCK_VENV)/.created ## Write the lock files anew (ARGS=--upgrade: with newer releases)
	@$(LOCK_VENV)/bin/python tools/write_locks.py $(ARGS)

clean: ## Remove what was built (never the data folder)
	@rm -rf $(VENV) $(LOCK_VENV) tests/js/node_modules $(RESULTS) .mypy_cache .pytest_cache .ruff_cache build dist
