# Everything a newcomer needs: `make demo`, `make test`, `make ui`.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url
TIMED := definitions_load clean_and_grid patrol_plans reference_network sensor_ticks
ifeq ($(DAGSTER_HOME),)
DAGSTER_HOME := $(CURDIR)/.dagster_home
endif
export DAGSTER_HOME
# Containers often set it; every process would then compile all modules anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
SOAK := shotspotter_assets_tests/soak
# Only files with such tests, as collecting all files takes each worker a while.
NETWORKS = $(shell grep -rlE --include='test_*.py' 'mark.networks' shotspotter_assets_tests)
NO_TESTS := 5
NEWEST := .venv_newest_dagster
DAGSTER = $(shell sed -nE 's/^(dagster[a-z-]*)==.*/\1/p' requirements.lock)
SLOW = $(shell grep -rl --include='*.py' 'mark.slow' shotspotter_assets_tests | grep -v '^$(SOAK)/')
# One more than processors, because some tests wait.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 8))')
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-newest-dagster test-slow soak ui check-cities status docs site pictures pages notebook lint lock notices build bench benchmark-published

help:            ## show the commands
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/development .env  ## create .venv and install the locked dependencies, those of tests and documents too

# uv resolves and installs the lock in seconds; pip takes minutes.
.venv/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; try make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint requirements.lock uv

# Builds of earlier versions left a folder here, whose old metadata would hide that of the installed package.
.venv/runtime: requirements.lock pyproject.toml | .venv/bin/uv
	@rm -rf shotspotter_assets.egg-info
	$(UV) --constraint requirements.lock --editable .
	@touch $@

.venv/development: requirements.lock pyproject.toml | .venv/bin/uv
	@rm -rf shotspotter_assets.egg-info
	$(UV) --constraint requirements.lock --editable '.[dev]'
	@touch $@ .venv/runtime

# Dagster's commands read it in this folder, and would let it win against what is exported. Absolute, as Dagster wants.
.env:
	@echo '# Read by `dg` and `dagster` in this folder; not in git. NAME=$${NAME:-value} lets an exported NAME win.' > $@
	@echo 'DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)/.dagster_home}"' >> $@

demo: .venv/runtime .env ## run the whole chain on real alerts and show the scores (CITY=simulated_city; ARGS=--days-only: without models)
	$(BIN)/shotspotter demo $(CITY) $(ARGS)

# Workers run for minutes; what their threads have freed is to go back to the system.
test: export MALLOC_ARENA_MAX := 2
test: export ARROW_DEFAULT_MEMORY_POOL := system
# Those of networks go beside the others, as one process has to load TensorFlow, and are reported at the end.
test: setup      ## run the tests, except the slow ones, on all processors (one of them: .venv/bin/pytest FILE)
	@log=$$(mktemp); \
	$(BIN)/python -m pytest -m 'not slow and networks' $(NETWORKS) $(ARGS) > $$log 2>&1 & \
	networks=$$!; \
	$(BIN)/python -m pytest -m 'not slow and not networks' $(PARALLEL) $(ARGS); \
	failed=$$?; \
	wait $$networks || [ $$? = $(NO_TESTS) ] || failed=1; \
	cat $$log; \
	rm $$log; \
	exit $$failed

# The lock with Dagster's packages alone upgraded; others move only where these need it.
test-newest-dagster: setup ## test event log and definitions on the newest Dagster that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(NEWEST)
	cp requirements.lock $(NEWEST)/
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --extra dev --no-emit-index-url $(DAGSTER:%=--upgrade-package %) pyproject.toml --output-file $(NEWEST)/requirements.lock
	$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python --requirements $(NEWEST)/requirements.lock --editable .
	$(BIN)/uv pip list --quiet --python $(NEWEST)/bin/python | grep '^dagster'
	PATH="$(CURDIR)/$(NEWEST)/bin:$$PATH" $(NEWEST)/bin/python -m pytest shotspotter_assets_tests/defs/test_event_log.py shotspotter_assets_tests/defs/test_definitions.py $(ARGS)

test-slow: setup ## run the slow tests: browsers, real servers and several workers
	$(BIN)/python -m pytest -m slow $(PARALLEL) $(SLOW) $(ARGS)

soak: setup      ## run installations for minutes while processes are killed and files are corrected; they mostly wait
	$(BIN)/python -m pytest -m slow -n 3 $(SOAK) $(ARGS)

pages: .venv/runtime ## open the pages of all cities (ARGS=--print: only print their address)
	@$(BIN)/shotspotter pages $(ARGS)

notebook: setup  ## explore a city in JupyterLab: alerts, forecasts beside what happened, small folds
	$(BIN)/jupyter-lab --config notebooks/jupyter_config.py $(ARGS) notebooks/explore.ipynb

ui: .venv/runtime .env ## start the Dagster UI (PORT=3000), and print the address of the lineage of the demo's city
	@$(BIN)/shotspotter ui --port $(PORT)

check-cities: .venv/runtime ## check the city files: one line for each that cannot be used
	@$(BIN)/shotspotter check-cities $(ARGS)

status: .venv/runtime .env ## print what is known, due, held back and served in each city (ARGS=CITY for one)
	@$(BIN)/shotspotter status $(ARGS)

docs: setup      ## build the documentation as a site: docs/_build/index.html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto docs docs/_build

site: setup      ## build the documentation of all releases as one site with a list of versions: docs/_build/site (ARGS="v1.0.0 v1.1.0")
	$(BIN)/python -m docs.versions $(ARGS)

pictures: setup  ## make all pictures of README and docs (ARGS="--data FOLDER --cache FOLDER" for that of real cities too)
	$(BIN)/python -m docs.make_pictures $(ARGS)

lint: setup      ## lint, types, import contracts, style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.style

lock: setup      ## resolve requirements.lock from pyproject.toml (ARGS=--upgrade takes newer versions), and list what it names
	$(COMPILE) --extra dev $(ARGS) --output-file requirements.lock pyproject.toml
	@$(MAKE) --no-print-directory notices

notices: setup   ## write sbom.cdx.json and THIRD_PARTY_NOTICES.md from the locked packages
	$(COMPILE) --no-header --no-annotate --constraint requirements.lock pyproject.toml \
		| $(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements \
		--pyproject pyproject.toml --output-reproducible --mc-type application --output-file sbom.cdx.json -
	$(BIN)/python -m docs.third_party

# From clean sources, the archives depend only on the commit: not on the folder, the time or the umask.
build: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
build: setup     ## build the wheel and the archive of sources into dist/, byte for byte the same for a commit
	@changed=$$(git status --porcelain); [ -z "$$changed" ] || { echo "Commit or remove what is not in the commit:"; echo "$$changed"; exit 1; }
	rm -rf dist
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist .
	cp sbom.cdx.json dist/

bench: setup     ## time what needs no data of yours; the other benchmarks say how they are called
	for name in $(TIMED); do $(BIN)/python benchmarks/$$name.py || exit 1; done

benchmark-published: setup ## compare all methods with a published model on a file of points (ARGS="--points FILE --peer FILE")
	$(BIN)/python benchmarks/published.py $(ARGS)
