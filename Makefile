# The front door. `make book` and `make test` set everything up themselves, once.
PROFILE ?= quick
DRY_RUN ?=
COHORT ?= $(if $(DRY_RUN),padchest,phantom-chest)
DATA_ROOT ?=
ON_BAD_IMAGE ?= error
ON_CHANGED_DATA ?= error
PORT ?= 8000
LAB_OPTIONS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The shell of a recipe would run the first, and start as the others say.
unexport BASH_ENV BASHOPTS CDPATH ENV SHELLOPTS

UV_VERSION := 0.13.9
PY := .venv/bin/python
INSTALLED := .venv/.installed
# Python in an environment without the user's settings of other work.
RUN := $(PY) -I companion/engine/clean_environment.py $(PY)
# Programs that install, which ask where pip would ask.
INSTALL := -I workflow/install.py

# The interpreter that makes .venv: the first of these that starts and is 3.11 to 3.13.
PYTHONS := python3.11 python3.12 python3.13 python3 python
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# With DRY_RUN=1, the profile's own shortened form on made-up releases: every rule in minutes.
MADE_UP := runs/made-up
MADE_UP_PATIENTS := 48
PROFILE_RUN = $(PROFILE)$(if $(DRY_RUN),-dry-run)

# What is asked for goes on in the environment, where neither make nor the shell nor Snakemake reads
# anything into it: a folder may be called 007, study #2 or o'brien.
book results plan study lab: export CCL_PROFILE := $(PROFILE_RUN)
book results plan study lab: export CCL_COHORT := $(COHORT)
book results plan study lab: export CCL_DATA_ROOT := $(value DATA_ROOT)
book results plan study lab: export CCL_LAB_OPTIONS := $(LAB_OPTIONS)
book results plan study: export CCL_ON_BAD_IMAGE := $(ON_BAD_IMAGE)
book results plan study: export CCL_ON_CHANGED_DATA := $(ON_CHANGED_DATA)

# One build at a time. The system drops the lock when its last process ends, also a killed one,
# so Snakemake's own lock, which a killed run leaves behind, is not needed.
SNAKEMAKE = $(RUN) workflow/alone.py runs/.lock $(PY) -m snakemake --snakefile workflow/Snakefile \
	--quiet host reason --rerun-triggers mtime input --rerun-incomplete --nolock \
	--show-failed-logs --cores all
# One line says what runs and how long is left, in place of Snakemake's own account.
PROGRESS := 2>&1 | $(PY) -I workflow/progress.py "$$CCL_PROFILE"

.PHONY: help
help: ## list every target
	@echo 'make TARGET [PROFILE=$(PROFILE)] [COHORT=$(COHORT)] [DATA_ROOT=folder] [ON_BAD_IMAGE=skip] [ON_CHANGED_DATA=reimport] [DRY_RUN=1]'
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; \
		do printf '%-16s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: $(INSTALLED) ## make .venv with the exact pins (done once, by every target that needs it)

$(INSTALLED): requirements.txt pyproject.toml
	@for python in $(PYTHONS); do \
		if $$python -I -c '$(SUPPORTED)' 2> /dev/null; then break; fi; python=; done; \
	if [ -z "$$python" ]; then \
		echo 'No Python 3.11, 3.12 or 3.13 found (looked for: $(PYTHONS)). Install python3.11.' >&2; \
		exit 1; fi; \
	$$python -I workflow/alone.py runs/.setup.lock $(MAKE) --no-print-directory _install PYTHON=$$python

.PHONY: _install
_install:
	@echo 'Setting up .venv from requirements.txt (once) ...'
	@[ -x $(PY) ] && $(PY) -I -c '$(SUPPORTED)' || $(PYTHON) -I -m venv --clear .venv
	@$(PY) $(INSTALL) $(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(PY) $(INSTALL) .venv/bin/uv pip install --quiet --python $(PY) --compile-bytecode -r requirements.txt
	@$(PY) $(INSTALL) .venv/bin/uv pip install --quiet --python $(PY) --no-deps -e .
	@touch $(INSTALLED)

.PHONY: _made-up
_made-up: $(INSTALLED)
	@$(if $(DRY_RUN),$(RUN) -m companion cohort fake padchest chexpert rsna embed vindr \
		--folder $(MADE_UP) --patients $(MADE_UP_PATIENTS) > /dev/null,true)

.PHONY: book
book: _made-up ## compute what is missing and build the book into _build/html
	@$(SNAKEMAKE) $(PROGRESS)

.PHONY: results
results: _made-up ## compute what is missing, up to what claims are tested on, without the book
	@$(SNAKEMAKE) results $(PROGRESS)

.PHONY: plan
plan: _made-up ## show what `make book` would compute, without doing it
	@$(SNAKEMAKE) --dry-run

.PHONY: study
study: $(INSTALLED) ## make the record in study/ anew: phantoms, and NIH with DATA_ROOT
	@$(RUN) -m benchmarks.simulations
	@$(MAKE) --no-print-directory results PROFILE=study COHORT=phantom-chest DATA_ROOT=
	@$(RUN) -m companion record --cohort phantom-chest
	@$(if $(value DATA_ROOT),$(MAKE) --no-print-directory results PROFILE=study COHORT=nih,true)
	@$(if $(value DATA_ROOT),$(RUN) -m companion record --cohort nih --data-root "$$CCL_DATA_ROOT",true)

.PHONY: initial-weights
initial-weights: $(INSTALLED) ## teach the slim encoders on dead leaves anew (about an hour on 2 cores)
	@$(RUN) -m companion initial-weights

.PHONY: gpu
gpu: $(INSTALLED) ## measure training at the paper's scale on a GPU, into study/gpu.json
	@$(RUN) benchmarks/gpu.py study/gpu.json

.PHONY: serve
serve: ## serve the built book at http://localhost:8000 (another port: PORT=...)
	@[ -f _build/html/index.html ] || { echo 'There is no book yet: run `make book`.' >&2; exit 1; }
	@echo 'The book is at http://localhost:$(PORT) (stop with Ctrl-C)'
	@$(RUN) -m http.server --bind localhost --directory _build/html $(PORT)

.PHONY: lab
lab: $(INSTALLED) ## open the explorer's notebook, in a copy of your own, in JupyterLab
	@$(RUN) -m companion lab --profile "$$CCL_PROFILE" --cohort "$$CCL_COHORT" \
		--data-root "$$CCL_DATA_ROOT" --options "$$CCL_LAB_OPTIONS"

.PHONY: pdf
pdf: $(INSTALLED) ## print the built book into _build/book.pdf (needs Chromium)
	@$(RUN) -m companion pdf

.PHONY: test
test: $(INSTALLED) ## run the tests
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 8

.PHONY: test-slow
test-slow: $(INSTALLED) ## run the tests that take minutes
	@$(RUN) -m pytest -m 'slow and not browser'

.PHONY: test-browser
test-browser: $(INSTALLED) ## try the built book in headless Chromium
	@$(RUN) -m pytest -m 'browser and not slow'

.PHONY: screenshots
screenshots: $(INSTALLED) ## look at every page at three sizes, light and dark; into _build/screenshots
	@$(RUN) -m pytest -m browser tests/book/test_browser.py tests/book/test_accessibility.py

.PHONY: lint
lint: $(INSTALLED) ## check format (ruff), rules (ruff) and types (mypy)
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

.PHONY: format
format: $(INSTALLED) ## put the code into the common format
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

.PHONY: lock
lock: $(INSTALLED) ## make the pins in requirements.txt anew from pyproject.toml
	@$(PY) $(INSTALL) .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --extra companion --extra dev --no-annotate \
		--no-header --no-emit-index-url --upgrade -o requirements.txt pyproject.toml

.PHONY: clean
clean: ## remove the built book and caches; runs and .venv stay
	@rm -rf _build book/executed .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find ccl companion tests workflow benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-runs
clean-runs: ## remove everything computed (cohorts, weights, banks, results)
	@rm -rf runs .snakemake

.PHONY: clean-all
clean-all: clean clean-runs ## remove everything that is not in the repository, also .venv
	@rm -rf .venv lab
