# make demo     denoise the shipped sample with the shipped model, and score it
# make test     run the whole test suite
# make browser  try the pages of `speechjem demo` and `speechjem export --web` in Chromium
# make plugin   try the LADSPA plugin in a host; needs gcc and Debian's ladspa-sdk
# make lint     style and types
# make docs     the documentation, in build/site (mkdocs serve shows it while you write)
# make man      the man pages, in build/man
# make dist     wheel and sdist, checked, in dist
# make light    the wheel of speechjem-light, which needs no torch, in dist
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test browser plugin lint docs man dist light clean

demo: .venv/installed
	$(BIN)/python samples/demo.py demo

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --durations 10  # a file a core, one thread each

browser: .venv/installed
	$(BIN)/python -m pytest tests/browser

plugin: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/plugin

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/documented
	$(BIN)/mkdocs build --strict

man: .venv/installed
	$(BIN)/python packaging/man.py build/man

dist: man
	rm -rf dist
	$(BIN)/python -m build --sdist --wheel
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv/documented: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

light: .venv/installed
	$(BIN)/python packaging/light/build.py dist
	$(BIN)/twine check --strict dist/speechjem_light-*.whl

clean:
	rm -rf .venv demo build dist *.egg-info
