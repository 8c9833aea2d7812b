# Two commands for a fresh machine: `make demo` and `make test`. Each sets up what it needs in .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check format bench lock clean

demo: $(READY)
	$(BIN)/python examples/flights/demo.py
	$(BIN)/python examples/flights/months_demo.py

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python -m pytest --doctest-modules src/lineage --import-mode=prepend
	$(BIN)/python examples/flights/demo.py
	$(BIN)/python examples/flights/months_demo.py

bench: .venv-bench/.ready
	.venv-bench/bin/python benchmarks/run.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dev --extra demo pyproject.toml --output-file locks/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group bench pyproject.toml --output-file locks/bench.txt

$(READY): pyproject.toml locks/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --requirement locks/dev.txt
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --editable .
	touch $(READY)

# The peers need older versions of some packages, so benchmarks have an environment of their own.
.venv-bench/.ready: $(READY) locks/bench.txt
	$(PYTHON) -m venv .venv-bench
	VIRTUAL_ENV=.venv-bench $(BIN)/uv pip install --quiet --require-hashes --requirement locks/bench.txt
	VIRTUAL_ENV=.venv-bench $(BIN)/uv pip install --quiet --no-deps --editable .
	touch .venv-bench/.ready

clean:
	rm -rf .venv .venv-bench .lineage dist build
