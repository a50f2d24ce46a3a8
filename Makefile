# make run    the dashboard on http://127.0.0.1:8000
# make test   lint, format and every test, in a few minutes
# make long   the long forms of the tests: thousands of races, a hundred thousand policies
# Settings: PYTHON (which Python makes .venv) and the environment variables that the README lists.

SHELL := /bin/sh
.DEFAULT_GOAL := run
.PHONY: run test long lint format coverage clean anew

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The named Python, or the first of the usual names that is of the right age.
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3 python)
RIGHT_AGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
SLOW := "(browser or fault) and not long"
SLOW_TESTS = $(or $(TESTS),tests/browser $$(grep -rl mark.fault tests --include="*.py"))
TEMPLATES = $$(find templates dashboard -name '*.html')

run: $(VENV)/runtime
	@exec $(BIN)/python manage.py serve

test: lint
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal -m "not (long or browser or fault)" $(TESTS) || [ $$? -eq 5 ]
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile -m $(SLOW) $(SLOW_TESTS) || [ $$? -eq 5 ]

long: $(VENV)/tests
	@$(BIN)/python -m pytest -q -m long $(TESTS)

lint: $(VENV)/tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --quiet --check . || { echo "Some files are not formatted: make format"; exit 1; }
	@$(BIN)/djade --check --target-version 5.2 $(TEMPLATES) || { echo "Some templates are not formatted: make format"; exit 1; }

format: $(VENV)/tests
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/djade --target-version 5.2 $(TEMPLATES) || true

coverage: $(VENV)/tests
	@$(BIN)/coverage run -m pytest -q
	@$(BIN)/coverage report --skip-covered

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage

# A virtual environment whose Python is gone (an upgrade, a moved folder) is made anew. $(VENV)/made is the mark of a
# finished one, and the two marks below are older than the requirements they are made from when those have changed.
ifneq ($(MAKECMDGOALS),clean)
ifneq ($(shell $(BIN)/python -c 'import sys; print(sys.prefix)' 2>/dev/null),$(abspath $(VENV)))
$(VENV)/made: anew
endif
endif

anew:

$(VENV)/made:
	@found=; for name in $(CANDIDATES); do \
	    if "$$name" -c '$(RIGHT_AGE)' 2>/dev/null; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Python 3.11 to 3.14 is needed and $(if $(PYTHON),$(PYTHON) is not one,none was found): install one, or name it: make run PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$found has no venv module: install it (Debian, Ubuntu: apt install python3-venv), or name another Python: make run PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)."; \
	rm -rf $(VENV) && "$$found" -m venv $(VENV) && touch $@

$(VENV)/runtime: requirements.txt $(VENV)/made
	@echo "Installing what it needs."
	@$(PIP) -r requirements.txt || { echo "The packages could not be installed: the lines above say why; is the network reachable?" >&2; exit 1; }
	@touch $@

$(VENV)/tests: requirements-test.txt requirements.txt $(VENV)/made
	@echo "Installing what the tests need."
	@$(PIP) -r requirements-test.txt || { echo "The packages could not be installed: the lines above say why; is the network reachable?" >&2; exit 1; }
	@touch $@ $(VENV)/runtime
