# The words of the house. CI runs the same ones. Needs make and Python 3.11 or newer; everything else goes into .venv.

VENV := .venv
BIN := $(VENV)/bin
PLATFORM ?= teamspark

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo mission test interop fuzz check format bench torture torture-sqlite torture-redis torture-rates platforms power-cut docs clean venv

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.has-demo-$(PLATFORM) ## run a platform on a SQLite file (or CORRAL_URL) and watch it; ONCE=1 ends by itself; PLATFORM=teamspark
	$(BIN)/python -m examples.demo $(PLATFORM) $(if $(ONCE),--once) $(ARGS)

mission: $(VENV)/.has-test ## write docs/mission.md: what the platforms promise, and the tests that show it
	$(BIN)/python -m tests.mission

test: $(VENV)/.has-test ## every test but the torture; ARGS='tests/unit -k cron' narrows it
	$(BIN)/python -m pytest -n auto $(ARGS)

interop: $(VENV)/.has-test $(VENV)/.has-interop ## the tests beside Node's BullMQ and Bull Board; needs node, npm and chromium
	$(BIN)/python -m pytest -n auto tests/interop $(ARGS)

fuzz: $(VENV)/.has-test ## requests that nobody would think of against the API, by every role; ARGS='--requests 2000' for fewer
	$(BIN)/python -m tests.web.fuzz $(ARGS)

check: $(VENV)/.has-dev ## format, lint, types, storeys, file sizes and the other house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/unit/test_house.py

format: $(VENV)/.has-dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.has-bench ## corral against its rivals, in one run; QUICK=1 takes under three minutes
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

torture-sqlite: $(VENV)/.has-test ## 10,000 worker kills on one SQLite file; KILLS=500 for fewer
	$(BIN)/python -m tests.faults.torture --kills $(or $(KILLS),10000)

torture-redis: $(VENV)/.has-test ## the same on Redis, lost replies, restarts, storms; KILLS=500 LOST=200 RESTARTS=5 STORM=3 for less
	@status=0; \
	$(BIN)/python -m tests.faults.torture --engine redis --kills $(or $(KILLS),10000) || status=1; \
	$(BIN)/python -m tests.faults.lost_replies --lost $(or $(LOST),5000) || status=1; \
	$(BIN)/python -m tests.faults.restarts --restarts $(or $(RESTARTS),50) || status=1; \
	$(BIN)/python -m tests.faults.storms --seconds $(or $(STORM),20) || status=1; \
	exit $$status

torture-rates: $(VENV)/.has-test ## rate limits, groups' limits and fair turns under 4 worker processes, a minute on each engine; SECONDS=10 for less
	@status=0; for engine in sqlite redis; do \
	$(BIN)/python -m tests.faults.rates --engine $$engine --seconds $(or $(SECONDS),60) || status=1; \
	done; exit $$status

torture: torture-sqlite torture-redis torture-rates ## everything that takes minutes to hours: the kills, then the tests marked `torture`
	$(BIN)/python -m pytest -m torture --timeout 0; status=$$?; [ $$status -eq 5 ] || exit $$status

platforms: $(VENV)/.has-test ## all platforms under load for 5 minutes: at once on one Redis, then one by one on SQLite; SECONDS=30 for less
	@status=0; for engine in redis sqlite; do \
	$(BIN)/python -m tests.load --engine $$engine --seconds $(or $(SECONDS),300) || status=1; \
	done; exit $$status

power-cut: $(VENV)/.has-test ## root only: cut the power of a file system in a loop file; CUTS=50
	@[ "$$(id -u)" = 0 ] || { echo 'make power-cut mounts a file system of its own, so it needs root: sudo make power-cut'; exit 1; }
	$(BIN)/python -m tests.faults.power_cut --cuts $(or $(CUTS),50)

docs: $(VENV)/.has-docs ## build docs/_build; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build

clean: ## remove what the commands above made, .venv included
	rm -rf $(VENV) docs/_build build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .ruff_cache \
		.pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- the environment ---------------------------------------------------------------------------------------------------
# One environment, and a stamp for each set of packages in it. A changed pyproject.toml brings them up to date.

# What a platform needs, its own pyproject.toml says.
$(VENV)/.has-demo-$(PLATFORM): EXTRAS = $(shell sed -n 's/.*"corral\[\([a-z,]*\)\].*/\1/p' examples/$(PLATFORM)/pyproject.toml)
$(VENV)/.has-test: EXTRAS := all,test
$(VENV)/.has-interop: EXTRAS := interop
$(VENV)/.has-dev: EXTRAS := dev
$(VENV)/.has-bench: EXTRAS := all,bench
$(VENV)/.has-docs: EXTRAS := docs

$(VENV)/.has-%: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

venv: $(VENV)/.made

# A name on PATH is not enough: version managers put stand-ins there, and Debian ships a Python that cannot make
# environments until python3-venv is installed. So each candidate is asked.
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)

$(VENV)/.made:
	@for python in $(CANDIDATES); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo 'corral needs Python 3.11 or newer with its venv module (on Debian: python3 and python3-venv).' >&2; \
		echo 'Tried: $(CANDIDATES). To name another one: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$found ($$("$$found" --version))"; \
	"$$found" -m venv --clear $(VENV)
	@touch $@
