# Two commands do everything: `make run` and `make test`. Both create .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-all lint sanitize bench clean

run: .venv/installed
	$(BIN)/grevy run --dataset continuous-label-poisson --offline --model-architecture offset1-model-mse \
	    --distance euclidean --conditional delta_normal --delta 0.1 --output-dimension 2 \
	    --batch-size 512 --learning-rate 1e-4 --temperature 1 --max-iterations 5000 --seed 0 \
	    --output-dir results/run --overwrite

# Two test processes with one thread each: more threads than cores only wait for each other.
test test-all: export OMP_NUM_THREADS = 1

test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-all: lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The compiled loops under the sanitizers of a C compiler, which is all that this needs.
sanitize:
	tests/engine/kernels/sanitize

bench: .venv/installed
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/draw_speed.py

clean:
	rm -rf .venv results build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/installed: pyproject.toml constraints.txt setup.py $(wildcard src/grevy/engine/kernels/*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
