# Needs Python 3.11 or newer, git and make. Everything else is installed into .venv, at the versions
# in constraints.txt.

VENV := .venv
PYRIGHT := .venv-pyright
MESA_35 := 3.5.1
MESA_4 := 4.0.0a0
PYTHON ?=
ARGS ?=

bin := $(VENV)/bin/python
install = -m pip install --disable-pip-version-check --no-input --constraint
pytest = -m pytest -n auto --maxprocesses 8 --dist worksteal

# What is tested again on another Mesa: the documentation, the page, and every file of tests that
# imports Mesa or an example model, or names a model of the package. The rest never sees Mesa.
mesa_tests = $(sort tests/test_documentation.py $(wildcard tests/web/test_*.py) $(shell grep -rlE \
	"^(from|import) (mesa|models)[. ]|NamingGame|ClassicalGame|NetworkModel" tests --include="test_*.py"))

# Another PYTHON= than the environment was made with, or one that is gone, makes a new environment.
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(shell cat $(VENV)/.python 2>/dev/null))
again := again
endif
endif
ifneq ($(shell $(bin) -c "print(1)" 2>/dev/null),1)
again := again
endif

.NOTPARALLEL:
.PHONY: help run run-llm app test test-mesa35 test-mesa4 on-mesa35 on-mesa4 test-slow test-llama test-load test-browser format format-check \
	lint typecheck type-completeness pytest docs-check house benchmarks benchmark-app clean again

help: ## Show this list (ARGS="..." reaches the command; PYTHON=... chooses the Python)
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.run ## Play the game once: make run ARGS="--names QM"
	@$(bin) -m mesa_llm_norms run $(ARGS)

run-llm: $(VENV)/.local ## Play with a small language model on this machine; a few minutes the first time
	@$(bin) -m mesa_llm_norms minds get smollm2
	@$(bin) -m mesa_llm_norms run --mind smollm2 --names QM --memory 3 --rounds 15 --seed 1 $(ARGS)

app: $(VENV)/.app ## Show the page in a browser: make app ARGS="--names QM"
	@$(bin) -m mesa_llm_norms app $(ARGS)

test: format-check lint typecheck pytest ## Everything a change must pass: style, types, tests

test-mesa35: ## The tests of what touches Mesa (documentation, page, models), on Mesa 3.5
test-mesa4: ## The same on Mesa 4; both are skipped where there is no Python 3.12
test-mesa35 test-mesa4: test-mesa%:
	@python="$$(.ci/find-python 3.12 "$(PYTHON)" 2>/dev/null || .ci/find-python 3.12 2>/dev/null)" || \
		{ echo "no Python 3.12 or newer found, skipped"; exit 0; }; \
	$(MAKE) --no-print-directory on-mesa$* PYTHON="$$python"

on-mesa35 on-mesa4: on-mesa%: .venv-mesa%/.dev
	@echo "== tests on Mesa $(MESA_$*)"
	@.venv-mesa$*/bin/python $(pytest) $(mesa_tests) $(ARGS)

test-slow: $(VENV)/.dev ## The tests that take minutes
	@$(bin) $(pytest) -m slow $(ARGS)

test-llama: $(VENV)/.dev ## The tests with a real small model, which is fetched once
	@$(bin) -m mesa_llm_norms minds get smollm2 || true
	@$(bin) -m pytest -m llama $(ARGS)

test-load: $(VENV)/.dev ## Crowds, fifty kills, an adaptive recording: on an idle machine
	@$(bin) -m pytest -m load $(ARGS)

test-browser: $(VENV)/.browser ## The page in a real Chromium, where there is one
	@$(bin) -m pytest -m browser $(ARGS)

format: $(VENV)/.dev ## Lay the code out
	@$(bin) -m ruff format .

format-check: $(VENV)/.dev
	@echo "== layout"
	@$(bin) -m ruff format --check .

lint: $(VENV)/.dev ## Check the code's style
	@echo "== style"
	@$(bin) -m ruff check .

typecheck: $(VENV)/.dev ## Check the types
	@echo "== types"
	@$(bin) -m mypy

type-completeness: $(VENV)/.dev ## How much of the public interface is typed, as pyright sees it
	@[ -e $(PYRIGHT)/bin/pyright ] || { $(bin) -m venv $(PYRIGHT) && \
		$(PYRIGHT)/bin/python $(install) constraints.txt "pyright[nodejs]==1.1.414"; }
	@$(PYRIGHT)/bin/pyright --pythonpath $(bin) --ignoreexternal --verifytypes mesa_llm_norms || true

pytest: $(VENV)/.dev
	@echo "== tests"
	@$(bin) $(pytest) $(ARGS)

docs-check: $(VENV)/.dev ## Run the code in the documentation and check its links
	@$(bin) -m pytest tests/test_documentation.py $(ARGS)

house: $(VENV)/.dev ## The layout of the package in figures: make house ARGS=REVISION
	@$(bin) tests/support/house.py $(ARGS)

benchmarks: $(VENV)/.run ## Measure speed, import time and memory; a few minutes
	@$(bin) -m benchmarks.game
	@$(bin) -m benchmarks.kernel
	@$(bin) -m benchmarks.concurrency
	@$(bin) -m benchmarks.import_time
	@$(bin) -m benchmarks.memory
	@$(bin) -m benchmarks.mean_field
	@$(bin) -m benchmarks.sweep

benchmark-app: $(VENV)/.browser ## Measure how soon the page answers, in a real Chromium
	@$(bin) -m benchmarks.app

clean: ## Remove the environments and everything made
	rm -rf $(VENV) .venv-mesa35 .venv-mesa4 $(PYRIGHT) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last and taken away before its environment is touched, so what an interrupted
# install leaves is never used: the next one starts from nothing. hatchling comes first, from the
# same constraints, because a build environment of pip's own would not keep to them.
$(VENV)/.run: pyproject.toml constraints.txt $(again)
	@python="$$(.ci/find-python 3.11 "$(PYTHON)")" && \
	echo "== installing into $(VENV) with $$python (a minute or two the first time)" && \
	rm -rf $(VENV) && \
	"$$python" -m venv $(VENV) && \
	$(bin) $(install) constraints.txt hatchling && \
	$(bin) $(install) constraints.txt --no-build-isolation -e . && \
	printf '%s' "$(PYTHON)" > $(VENV)/.python && \
	touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "== installing what the tests need into $(VENV)"
	@rm -f $(VENV)/.run && \
	$(bin) $(install) constraints.txt --no-build-isolation -e ".[dev]" && \
	touch $(VENV)/.run && \
	touch $@

# What runs a model in this process.
$(VENV)/.local: $(VENV)/.run
	@echo "== installing what runs language models into $(VENV)"
	@rm -f $(VENV)/.run && \
	$(bin) $(install) constraints.txt --no-build-isolation -e ".[local]" && \
	touch $(VENV)/.run && \
	{ [ ! -e $(VENV)/.dev ] || touch $(VENV)/.dev; } && \
	touch $@

# What the page is made of in a browser (58 MB), so that it works without the internet. Where that
# cannot be installed, the page is shown all the same, says so, and the next "make app" tries again.
$(VENV)/.app: $(VENV)/.run
	@echo "== installing what the page is made of into $(VENV)" && \
	{ $(bin) $(install) constraints.txt --quiet --retries 1 solara-assets && touch $@; } || \
	echo "== it could not be installed: without the internet the page will stay empty" >&2

# The same, for tests in a browser.
$(VENV)/.browser: $(VENV)/.dev
	@echo "== installing what the page needs offline into $(VENV)"
	@rm -f $(VENV)/.run $(VENV)/.dev && \
	$(bin) $(install) constraints.txt --no-build-isolation -e ".[dev,offline]" && \
	touch $(VENV)/.run && \
	touch $(VENV)/.dev && \
	touch $@

.venv-mesa35/.dev .venv-mesa4/.dev: .venv-mesa%/.dev: pyproject.toml constraints.txt
	@echo "== installing into $(@D) with $(PYTHON) (a minute or two the first time)"
	@rm -rf $(@D) && \
	"$(PYTHON)" -m venv $(@D) && \
	sed 's/^mesa==.*/mesa==$(MESA_$*)/' constraints.txt > $(@D)/constraints.txt && \
	$(@D)/bin/python $(install) $(@D)/constraints.txt hatchling && \
	$(@D)/bin/python $(install) $(@D)/constraints.txt --no-build-isolation -e ".[dev]" && \
	touch $@
