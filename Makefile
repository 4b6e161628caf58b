# Two commands do everything on a fresh machine with Python 3.11 and make: `make demo`, `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export DAGSTER_HOME := $(CURDIR)/dagster_home

.PHONY: install system-tools demo demo-faults dev test test-slow coverage test-fast check format bench docs release-check lock clean
.DEFAULT_GOAL := help

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## Create .venv from the hashed lock file

# No wheel holds them. Where they can't be had, the tests that need them skip and say so.
system-tools: ## A browser and Prometheus for the tests that need them: Debian, as root
	@if command -v chromium >/dev/null && command -v promtool >/dev/null; then true; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
	    --no-install-recommends chromium prometheus >/dev/null; } \
	  || echo "chromium and prometheus can't be installed: the tests that need them are skipped"; \
	else echo "install chromium and prometheus for the tests that need them; they are skipped now"; fi

demo: $(STAMP) ## The main job on the embedded sandbox: pictures, speech, costs, gallery
	ASSET_PIPELINE_PROVIDER=sandbox $(BIN)/asset-pipeline demo

# Some prompts are meant to fail, and the command says so with 1; anything worse fails here too.
demo-faults: $(STAMP) ## The demo while failures are rehearsed: what is retried, lost, paid
	$(BIN)/asset-pipeline demo --faults docs/examples/faults.yaml || test $$? -eq 1

dev: $(STAMP) ## Dagster with its daemon, and the service beside it; Ctrl-C ends both
	@$(BIN)/asset-pipeline serve & service=$$!; trap 'kill $$service 2>/dev/null' EXIT; \
	  $(BIN)/dagster dev

test: $(STAMP) ## All tests but the slow ones
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not slow"

test-slow: $(STAMP) ## What takes long by itself: a browser, a notebook, the processes of a team
	$(BIN)/python -m pytest -n 2 -m slow

# Tracing takes half as much CPU again in each of the thousands of processes that the tests start.
coverage: $(STAMP) ## All tests, and which lines they run: 85% at least
	$(BIN)/python -m pytest -n 4 --cov --cov-report=term --cov-fail-under=85

test-fast: $(STAMP) ## The tests without kills, servers, other processes and random searches
	$(BIN)/python -m pytest -n 2 -m "not kills and not servers and not searches and not slow"

check: $(STAMP) ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP) ## Apply the formatter and the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Benchmarks, side by side with what a user would pick instead
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## The documentation site into site/, strictly; no network is asked for anything
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean

release-check: $(STAMP) ## Whether versions, migrations and documentation agree, before a tag
	$(BIN)/python -m tools.release_check

lock: $(STAMP) ## Compile the hashed lock file again
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --extra service --extra tracing --extra provenance --extra team --generate-hashes --no-emit-index-url \
	  --universal --python-version 3.11 --quiet --custom-compile-command "make lock" -o requirements.lock

clean: ## Remove what tests and builds left: caches, coverage, packages; no ledger, no clip
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache .coverage .coverage.* htmlcov \
	  dist site
