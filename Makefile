# Thimble: `make demo` and `make test` work from a fresh checkout; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.thimble-installed

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-full lint format type wheel-test bench cycles fit-costs tune-cache picture golden ops-page onnx-page model clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: tools $(STAMP) ## Install tools (apt) and the package into a virtual environment

tools: ## Install the compilers and the simulator with apt, or print the line that does
	@targets/install_tools.sh

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[verify,ibex,dev]'
	@touch $@

demo: setup ## Compile the shipped model, run 200 images on the simulated chip, verify, report
	$(BIN)/thimble demo -o out/demo

test: setup ## Pass the tests
	$(BIN)/python -m pytest -n 2 -m "not full"

test-full: setup ## Heavy sweeps: all evaluation data, 20,000 mutated models
	$(BIN)/python -m pytest -n 2 -m "full or not full"

TYPING := .typing/thimble
HOUSES := compiler quantize nas codegen runtime_c targets
$(TYPING): ; @mkdir -p $@
.PHONY: links
links: | $(TYPING)
	@for house in $(HOUSES); do ln -sfn ../../$$house $(TYPING)/$$house; done
	@ln -sfn ../../compiler/driver/public/__init__.py $(TYPING)/__init__.py

C_FILES = $(shell git ls-files 'runtime_c/*.c' 'runtime_c/*.h' 'targets/*.c' 'targets/*.h' 'targets/*.cpp' 'targets/*.hpp')
lint: $(STAMP) links ## ruff, import-linter, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=.typing $(BIN)/lint-imports
	clang-format --dry-run --Werror $(C_FILES)

format: $(STAMP) ## Format Python and C
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	clang-format -i $(C_FILES)

type: $(STAMP) links ## mypy --strict
	MYPYPATH=.typing $(BIN)/mypy --explicit-package-bases -p thimble

wheel-test: setup ## Build the wheel, install it in an empty environment, and compile the shipped model with it
	rm -rf build dist .cache/wheel
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(PYTHON) -m venv .cache/wheel
	.cache/wheel/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd .cache && wheel/bin/thimble compile -t nrf52840 -o wheel-demo \
	    "$$(wheel/bin/python -c 'from thimble.compiler.driver import demo; print(demo.model_path())')"

bench: setup ## Tables of memory and cycles beside what others reach
	$(BIN)/python -m tests.bench.bench

cycles: setup ## Record simulated cycles anew (tests/bench/cycles.json); say why in the commit
	$(BIN)/python -m tests.bench.cycles

fit-costs: setup ## Fit the cost model to simulated cycles anew, of all chips or of CHIPS="..."; goes on where it stopped
	$(BIN)/python -m tests.bench.fit_costs $(CHIPS)
	$(BIN)/python -m tests.bench.fit_narrow
	$(BIN)/python -m tests.bench.cost_table
	$(BIN)/python -m tests.bench.cost_table --targets stm32h743zi stm32g0b1re stm32f207zg mps3-an547 ibex

tune-cache: setup ## Measure the kernels of MLPerf Tiny and MobileNet shapes anew (codegen/tuned_kernels.json)
	$(BIN)/python -m tests.bench.tune_shapes

picture: setup ## Draw docs/report.png anew (needs chromium)
	$(BIN)/python -m tests.bench.report_picture

golden: setup ## Rewrite the golden files from what is generated now
	$(BIN)/python -m pytest tests/golden --update-golden

ops-page: $(STAMP) ## Rewrite SUPPORTED_OPS.md from the constraints
	$(BIN)/thimble ops --markdown > SUPPORTED_OPS.md

onnx-page: setup ## Rewrite the table of docs/onnx.md from the node tests of the onnx package
	$(BIN)/python -m tests.onnx.node_table

model: setup ## Train the shipped model again (needs PyTorch and the package dataset-fashion-mnist)
	$(BIN)/pip install --quiet 'thimble[torch] @ .'
	$(BIN)/python -m thimble.compiler.driver.demo.make_model

clean: ## Remove what was built
	rm -rf out build dist .typing *.egg-info
