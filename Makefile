# Needs Python 3.11 or newer, pip and make; everything else goes into .venv.
PYTHON ?= python3
# What pip installs first; on Linux this can be a CUDA build of 5 GB. README.md says how to choose.
TORCH ?= torch==2.13.0
VENV ?= .venv
# More arguments for pytest: make test PYTEST="-k shapley"
PYTEST ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo play test suite slow mutants lint format bench docs clean FORCE
.DELETE_ON_ERROR:

help:
	@echo "make demo    predict and explain 500 patients with the shipped mapping; writes report.html"
	@echo "make play    export the pretrained models for mapsto play anew, and fetch their runtime from npm: some minutes"
	@echo "make test    ruff, mypy and the whole test suite, a process a core"
	@echo "make slow    read 10,000 random tables and 1,000 damaged weights, runs and estimators, kill 150 trainings, and more: an hour on a core"
	@echo "make mutants plant 200 random faults and list those that no test notices; MUTANTS=\"--count 20 mapsto/games.py\""
	@echo "make lint    ruff and mypy alone"
	@echo "make format  let ruff mend what it can"
	@echo "make docs    the documentation as a site that is read and searched offline: build/docs/index.html"
	@echo "make bench   the tables benchmark; MAPSTO_DATA names the data folder"

demo: $(VENV)/.package
	$(BIN)/mapsto demo

play: $(VENV)/.dev
	$(BIN)/python -m mapsto.play.build

test: $(VENV)/.dev
	$(MAKE) -j 2 lint suite

suite: $(VENV)/.dev
	$(BIN)/python -m pytest -rs -n auto --dist worksteal $(PYTEST)

slow: $(VENV)/.dev
	MAPSTO_RANDOM_FILES=10000 MAPSTO_DAMAGED_FILES=1000 MAPSTO_KILLS=50 $(BIN)/python -m pytest -n auto tests/slow $(PYTEST)
	$(BIN)/python -m pytest -n auto -m long tests $(PYTEST)

mutants: $(VENV)/.dev
	$(BIN)/python tests/mutants.py $(MUTANTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mapsto benchmarks examples

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/tables.py --out runs/tables.jsonl
	$(BIN)/python benchmarks/tables.py --out runs/tables.jsonl --report

# Warnings are errors: a link that leads nowhere, or a docstring that cannot be set.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs build/docs
	@echo "Open build/docs/index.html"

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# A Python without ensurepip (Debian's) gets its pip from outside the environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"PYTHON: got Python {v[0]}.{v[1]}, \
	expected 3.11 or newer; name another one, as in: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	$(PYTHON) -m pip --python $(BIN)/python install pip; }

# Rewritten only when TORCH changes: another choice installs again, the same one does not.
$(VENV)/.choice: FORCE | $(BIN)/python
	@echo '$(TORCH)' | cmp -s - $@ || echo '$(TORCH)' > $@

# Torch first, so that TORCH chooses its build. The pin chooses the version, not the build.
$(VENV)/.torch: $(VENV)/.choice
	@echo 'Installing $(TORCH). On Linux this can be a CUDA build of 5 GB; to choose the CPU build, stop and run:'
	@echo '    make demo TORCH="torch==2.13.0 --index-url <the index of the CPU builds>"      (see README.md)'
	-@$(PIP) uninstall --quiet --yes torch 2>/dev/null  # else pip keeps another build of the same version
	$(PIP) install $(TORCH)
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.torch
	$(PIP) install --editable . --config-settings editable_mode=compat
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(PIP) install --editable '.[dev]' --config-settings editable_mode=compat
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	$(PIP) install --editable '.[docs]' --config-settings editable_mode=compat
	@touch $@

# The peers we are compared with. One that does not install is left out, and the benchmark says so.
$(VENV)/.bench: $(VENV)/.dev
	for peer in interpret-core higher torchopt; do $(PIP) install $$peer || echo "$$peer does not install here: left out"; done
	@touch $@
