# `make test` and `make demo` need only make and Python 3.11 or newer; the rest is installed into .venv.
# Another interpreter: make test PYTHON=/path/to/python

RUN := .venv/bin/python
STAMP := .venv/.installed

.PHONY: test lint types unit demo clean
.DELETE_ON_ERROR:

test: lint types unit

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(STAMP)
	$(RUN) -m mypy

unit: $(STAMP)
	$(RUN) -m pytest

demo: $(STAMP)
	.venv/bin/spm demo

$(RUN):
	@error="Python 3.11 or newer not found; install it, or name it: make PYTHON=/path/to/python"; \
	for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    $$python -c 'import venv, ensurepip' 2>/dev/null && exec $$python -m venv .venv; \
	    error="$$python has no venv module; on Debian or Ubuntu: apt install $$($$python -c \
	        'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; \
	done; \
	echo "$$error" >&2; exit 1

$(STAMP): pyproject.toml constraints.txt | $(RUN)
	@echo "Installing into .venv: a few minutes the first time"
	@$(RUN) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]' \
	    || { echo "pip could not install what pyproject.toml asks for: its reason stands above" >&2; exit 1; }
	@touch $@

clean:
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
