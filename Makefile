# `make` lists the targets. PYTHON chooses the interpreter that .venv is made with.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := demo
DEMO_CLASSES := goldfish "golden retriever" daisy zebra flamingo "traffic light" goose maypole

SMOKE := tests/test_geometry.py tests/test_concepts.py tests/test_recipe.py tests/test_estimator.py tests/test_saliency.py tests/test_runs.py
PYTEST_OPTIONS ?=
# Several processes of one thread each are faster than one of several; tests of one file mostly stay together.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test nightly smoke check docs bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) install -q -c constraints.txt -e '.[dev,photos]'
	touch $@

demo: $(VENV)/.runtime ## eight maps of EfficientNet-Lite0 and their report, in demo/
	$(BIN)/phosphene map efficientnet_lite0 $(DEMO_CLASSES) --verifier efficientnet_lite1 --out $(DEMO) --seed 0
	$(BIN)/phosphene report $(DEMO)
	@printf 'Open in a browser: %s\n' "$(CURDIR)/$(DEMO)"/*.html

test: $(VENV)/.dev ## run the tests (installs Chromium where it can)
	tests/install_browser.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(PYTEST_OPTIONS)

ray: $(VENV)/.dev ## the tests of Ray's executor, apart: its threads would make forks of other tests hang
	$(PIP) install -q -c constraints.txt -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_atlas.py tests/test_executors.py $(PYTEST_OPTIONS)
	$(PIP) uninstall -q -y ray

nightly: $(VENV)/.dev ## every torchvision classifier and timm family, built at random and loaded: hours, 8 GB of memory
	PHOSPHENE_NIGHTLY=1 $(BIN)/python -m pytest tests/test_records.py $(PYTEST_OPTIONS)

smoke: $(VENV)/.runtime ## the quick tests alone, for an interpreter other than the usual one
	$(PIP) install -q -c constraints.txt pytest pytest-xdist hypothesis
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -p no:cacheprovider -n 2 --dist worksteal $(SMOKE)

check: $(VENV)/.dev ## lint, formatting, types, layers, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.dev ## rewrite the generated parts of the docs
	$(BIN)/python docs/generate.py

bench: ## how to rerun the numbers of the docs
	@echo "Every number of the docs has a script; run the one you want, each explains itself with --help:"
	@find benchmarks -name '*.py' ! -name '_*' 2>/dev/null | sort | sed 's|^|  $(BIN)/python |'

clean: ## remove caches, builds and the demo; .venv stays
	rm -rf build dist $(DEMO) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
