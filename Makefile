# Every target sets up .venv by itself when needed. On Windows without make, see the README.
# make PYTHON=/path/to/python3.12 ... uses that Python.

CANDIDATES := $(PYTHON) python3.13 python3.12 python3.11 python3.10 python3 python
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

.PHONY: lab studio run test outputs handout class zh bench lint

lab: .venv/installed    ## open the course in JupyterLab
	$(BIN)/python -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks

studio: .venv/installed ## the studio as an app, without code, in the browser
	$(BIN)/python -m voila notebooks/S_studio.ipynb

run: .venv/installed    ## execute all notebooks in order; pictures go to out/
	$(BIN)/python tools/run_notebooks.py

test: .venv/installed   ## unit tests, structure tests, every notebook and the handout, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

outputs: .venv/installed  ## execute all notebooks and store their outputs in them, for committing
	$(BIN)/python tools/run_notebooks.py --write

handout: .venv/installed  ## out/handout: the class version, without solutions
	$(BIN)/python tools/make_handout.py

class: .venv/installed  ## out/class: the same with all packages, for no network (1.3 GB); FOR=3.12 names the Python
	$(BIN)/python tools/make_handout.py --class $(FOR)

zh: .venv/installed  ## out/zh: the course in Chinese; EXECUTE=1 runs it, for figures with Chinese words
	$(BIN)/python tools/translate.py make $(if $(EXECUTE),--execute)

bench: .venv/installed  ## measure speed and memory, on an otherwise idle machine
	$(BIN)/python tests/benchmarks/bench_stylize.py
	$(BIN)/python tests/benchmarks/bench_painter.py
	$(BIN)/python tests/benchmarks/bench_tiles.py

lint: .venv/installed   ## check the style of the code
	$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check stlib tests tools

.venv/installed: pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  for python in $(CANDIDATES); do \
	    if $$python -c '$(SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.10 to 3.13 with venv was found: install one (on Debian with python3-venv), or name it: make PYTHON=/path/to/python3.12"; \
	    exit 1; \
	  fi; \
	  $$found -m venv .venv; \
	fi
	@echo "Installing TensorFlow, JupyterLab and the rest into .venv: some minutes, once."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@
