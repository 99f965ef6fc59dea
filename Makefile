SHELL := /bin/bash
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from the lock files (Linux x86-64; finds or downloads Python 3.10)
	@scripts/setup.sh

DEMO_DIR := runs/demo-$(shell date +%Y%m%d-%H%M%S)
DEMO_FLAGS ?= --env control:cartpole:swingup --launcher processes --actors 2 --steps 100000 --eval-every 5000 \
  --eval-episodes 5

demo: setup ## train MPO on cartpole with two actor processes, then plot its learning curve
	.venv/bin/acme-agents train mpo --run-dir $(DEMO_DIR) $(DEMO_FLAGS)
	.venv/bin/acme-agents plot $(DEMO_DIR) --output $(DEMO_DIR)/learning_curve.png

# Two files of tests at a time, in the order in which tests/conftest.py puts them. With three at a time on two cores each
# test takes more CPU, and the whole is hardly shorter.
BESIDE := -n 2 --dist loadfile --no-loadscope-reorder

test: lint ## lint, then every test, the slow ones included: what CI runs
	$(PYTHON) -m pytest $(BESIDE) $(PYTEST_FLAGS)

# Tests, and not files of them, are handed to the two workers: no file is long.
test-fast: setup ## every test not marked slow or long: three minutes on two idle cores
	$(PYTHON) -m pytest -m "not slow and not long" -n 2 --dist worksteal $(PYTEST_FLAGS)

test-cluster: setup ## the tests on several hosts, made of network namespaces
	$(PYTHON) -m pytest -m cluster $(PYTEST_FLAGS)

MODERN_PYTHON ?= 3.13

test-modern: setup ## one process on Python 3.13 and the newest JAX, installed by `pip install .` alone
	MODERN_PYTHON=$(MODERN_PYTHON) $(PYTHON) -m pytest tests/test_modern.py $(PYTEST_FLAGS)

ROUNDS ?= 10

soak: setup ## many rounds of kills, cuts and stops (hours; alone on the machine); the result is to be committed
	$(PYTHON) benchmarks/soak.py --rounds $(ROUNDS) --output benchmarks/results/soak.md $(SOAK_FLAGS)

# The newest releases on purpose: this is where a new JAX is first seen to break the maths.
# The tests of core, of every agent, and of what checks them all.
CORE_TESTS := tests/core tests/testing tests/test_agents_conform.py tests/agents tests/exploration

test-core: .venv-core/.installed ## the pure tests alone, on Python 3.12 and the newest JAX, without TensorFlow
	.venv-core/bin/python -m pytest $(CORE_TESTS) $(PYTEST_FLAGS)

.venv-core/.installed: setup.py
	python=$$(scripts/find_python.sh 3.12) && "$$python" -m venv --clear .venv-core
	.venv-core/bin/python -m pip --disable-pip-version-check install --quiet --upgrade pip
	.venv-core/bin/python -m pip install --quiet --editable . pytest pytest-timeout
	touch $@

# An environment of its own: d3rlpy's gymnasium and torch's NumPy are not ours. The wheel of torch without CUDA is not on
# PyPI; it goes in first and alone, so that nothing else is looked for in its index.
D3RLPY := benchmarks/d3rlpy/requirements.lock
TORCH_WHEELS ?= https://download.pytorch.org/whl/cpu/torch/

bench-setup: .venv-d3rlpy/.installed ## make .venv-d3rlpy, with which benchmarks/crr.py compares

.venv-d3rlpy/.installed: $(D3RLPY)
	python=$$(scripts/find_python.sh 3.11) && "$$python" -m venv --clear .venv-d3rlpy
	.venv-d3rlpy/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes \
	  --find-links $(TORCH_WHEELS) --retries 1 -r <(awk '/^[a-z]/ { keep = /^(torch|setuptools)==/ } keep' $(D3RLPY))
	.venv-d3rlpy/bin/python -m pip --disable-pip-version-check install --quiet --no-build-isolation --require-hashes \
	  -r $(D3RLPY)
	touch $@

lint: setup ## ruff and mypy
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

format: setup ## fix what ruff can fix, and format
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

# Keeps the versions that are there where it can; `make lock UPGRADE=--upgrade` takes the newest.
UPGRADE ?=
LOCK_PYTHON = 3.10
COMPILE = "$$(scripts/find_uv.sh)" pip compile --quiet --generate-hashes --no-header --no-strip-extras \
  --python-version $(LOCK_PYTHON) --python-platform x86_64-manylinux_2_28 $(UPGRADE)

lock: ## write the lock files again from setup.py
	$(COMPILE) setup.py --extra runtime --extra cluster --extra dev -o requirements.lock
	sed -i '1i # Exact versions of everything in .venv, with hashes. Made from setup.py by `make lock`.' requirements.lock
	printf '%s\n' pip setuptools wheel uv | $(COMPILE) - -c requirements.lock -o requirements-bootstrap.lock
	sed -i '1i # What .venv is made with, in the versions of requirements.lock. Made by `make lock`.' requirements-bootstrap.lock

lock-bench: LOCK_PYTHON = 3.11
lock-bench: ## write the lock file of .venv-d3rlpy again
	printf '%s\n' 'd3rlpy==2.8.*' 'torch==2.13.0+cpu' | $(COMPILE) --find-links $(TORCH_WHEELS) - -o $(D3RLPY)
	sed -i '1i # What .venv-d3rlpy is made with, for benchmarks/crr.py. Made by `make lock-bench`.' $(D3RLPY)

clean: ## remove caches and build outputs; .venv and runs/ stay
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .venv-core .venv-d3rlpy .venv-uv
	find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help setup demo test test-fast test-cluster soak test-core test-modern bench-setup lint format lock lock-bench clean
