# Needs only Python 3.11+ and make. Packages are installed into .venv (to run) and .venv-dev (to
# check), generated files are in .cache.

PYTHON ?= python3
PORT ?= 8000
ENGINE ?= embedded
OPENSEARCH_PORT ?= 9200
PYTEST_ARGS ?=
WORKERS ?= 2
# Part of the tests covers part of the code.
PARTIAL := $(if $(PYTEST_ARGS),--cov-fail-under=0)

CACHE := .cache
SAMPLE := $(CACHE)/sample/catalog.jsonl
INDEX := $(CACHE)/index
RUN := .venv/bin/python
DEV := .venv-dev/bin
# What decides the bytes of the sample catalog and of its index.
SAMPLE_CODE := qtr_rerank/data/sample qtr_rerank/records.py qtr_rerank/text.py
INDEX_CODE := indexer $(addprefix qtr_rerank/,features models retrieve runtime text.py)
# The files of some folders and of their sub-folders.
files_of = $(shell find $(1) -type f ! -path '*/__pycache__/*')
PIP := -m pip --disable-pip-version-check --no-input
# uv installs several times faster than pip. It does not read pip's settings (an index, a proxy), so
# pip takes over where it fails.
UV := -m uv pip install --quiet --python $(DEV)/python
# torch from its CPU index is a third of the download, without CUDA. A short time-out: PyPI has it too.
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-embedded demo-opensearch test test-lowest lint dev opensearch data-named experiment-homedepot experiment-latency experiment-sst2 clean

help:  ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*##  *\(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-25s %s\n", $$1, $$2}'
	@echo
	@echo "Variables: PYTHON=$(PYTHON) PORT=$(PORT) ENGINE=$(ENGINE) OPENSEARCH_PORT=$(OPENSEARCH_PORT) PYTEST_ARGS=... QTR_DATA_DIR=... ENCODER=..."

demo: demo-$(ENGINE)  ## Serve the search page over the sample catalog (PORT=8000, ENGINE=opensearch)

demo-embedded: $(INDEX)/index.json
	@exec $(RUN) -m demo --index $(INDEX) --port $(PORT)

# Uses the node of OPENSEARCH_URL, else a local one that stops with the demo.
demo-opensearch: $(SAMPLE) .venv/opensearch
	@exec $(RUN) -m demo.on_opensearch --catalog $(SAMPLE) --index $(INDEX)-opensearch --port $(PORT)

# Lint runs beside the tests. Its output is shown after theirs, and only if it fails.
test: .venv-dev/installed  ## Every check that CI runs: lint, types, imports, dead code, tests
	@mkdir -p $(CACHE)
	@$(MAKE) --no-print-directory lint >$(CACHE)/lint.log 2>&1 & lint=$$!; \
	$(DEV)/python -m pytest -n $(WORKERS) --no-loadscope-reorder --cov $(PARTIAL) $(PYTEST_ARGS); tests=$$?; \
	wait $$lint || { cat $(CACHE)/lint.log; echo "make: lint failed, see above" >&2; exit 1; }; \
	exit $$tests

test-lowest: .venv-lowest/installed  ## Tests of the base install alone, with the lowest versions it allows
	.venv-lowest/bin/python -m pytest -p tests.base_install -W ignore::DeprecationWarning -p no:cacheprovider $(PYTEST_ARGS)

lint: .venv-dev/installed  ## Style, types, import rules and dead code alone
	$(DEV)/ruff check
	$(DEV)/ruff format --check
	$(DEV)/lint-imports
	$(DEV)/python -m tests.dead_code
	$(DEV)/mypy

dev: .venv-dev/installed  ## Only set up .venv-dev, with everything to train and to test

opensearch: .venv/opensearch  ## Run a local OpenSearch node until Ctrl-C (OPENSEARCH_PORT=9200)
	@exec $(RUN) -m devtools.opensearch_node --port $(OPENSEARCH_PORT)

# Checked before anything is installed.
data-named:
	@test -d "$(QTR_DATA_DIR)" || { \
	  echo "make: QTR_DATA_DIR is '$(QTR_DATA_DIR)'; set it to the folder of the data sets: make $(MAKECMDGOALS) QTR_DATA_DIR=..." >&2; exit 1; }

experiment-homedepot: data-named .venv-dev/installed  ## Teachers, students, rivals on Home Depot (same variables)
	@$(DEV)/python -m experiments.homedepot

experiment-latency: .venv-dev/installed  ## Milliseconds beside BERT-Base, MiniLM and TinyBERT; nothing else may run
	@PATH="$(CURDIR)/$(DEV):$$PATH" experiments/latency.sh

experiment-sst2: data-named .venv-dev/installed  ## BERT2DNN on SST-2 (QTR_DATA_DIR=..., ENCODER=...)
	@$(DEV)/python -m experiments.sst2

clean:  ## Remove what the other targets installed and generated
	rm -rf .venv .venv-dev .venv-lowest $(CACHE) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*

define need_python
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "make: '$(PYTHON)' was not found; install Python 3.11 or newer, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1), but Python 3.11 or newer is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
endef

# The stamps are touched last, so an interrupted installation is repeated.
.venv/installed: pyproject.toml
	$(need_python)
	@echo "Installing into .venv (once; about 450 MB) ..."
	@"$(PYTHON)" -m venv .venv
	@$(RUN) $(PIP) install --quiet -e .
	@touch $@

.venv/opensearch: .venv/installed
	@$(RUN) $(PIP) install --quiet -e '.[opensearch]'
	@touch $@

.venv-dev/installed: pyproject.toml
	$(need_python)
	@echo "Installing into .venv-dev (once; with torch, so it takes some minutes) ..."
	@"$(PYTHON)" -m venv .venv-dev
	@$(DEV)/python $(PIP) install --quiet uv
	@$(DEV)/python -c 'import torch' 2>/dev/null \
	  || UV_HTTP_TIMEOUT=10 UV_HTTP_RETRIES=1 $(DEV)/python $(UV) --index-url $(TORCH_INDEX) torch 2>/dev/null \
	  || echo "No torch from $(TORCH_INDEX); taking the one on the package index"
	@$(DEV)/python $(UV) -e '.[dev]' || $(DEV)/python $(PIP) install --quiet -e '.[dev]'
	@touch $@

.venv-lowest/installed: pyproject.toml
	$(need_python)
	@rm -rf .venv-lowest
	@"$(PYTHON)" -m venv .venv-lowest
	@.venv-lowest/bin/python $(PIP) install --quiet uv
	@.venv-lowest/bin/python -m uv pip install --quiet --python .venv-lowest/bin/python \
	  --resolution lowest-direct -e . 'pytest>=8.3' 'hypothesis>=6.120'
	@touch $@

$(SAMPLE): $(call files_of,$(SAMPLE_CODE)) | .venv/installed
	@.venv/bin/qtr sample $(@D) >/dev/null
	@touch $@

$(INDEX)/index.json: $(SAMPLE) $(call files_of,$(INDEX_CODE)) | .venv/installed
	@$(RUN) -m indexer $(SAMPLE) --index $(INDEX)
	@touch $@
