SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
READERS := tests/readers/node_modules/.ready

.PHONY: setup demo test lint docs pictures native clean

setup: $(STAMP)

# The editable install also builds the native kernels; editing C++ or pyproject.toml renews it.
$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(shell find recon splatting -path '*native*' -name '*.[ch]pp' -o -path '*native*' -name CMakeLists.txt)
	./scripts/system-libraries
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Programs of others that read our files, through npm.
$(READERS): tests/readers/package.json
	command -v npm >/dev/null || ./scripts/system-libraries nodejs npm
	npm install --prefix tests/readers --no-package-lock --legacy-peer-deps --ignore-scripts --no-audit --no-fund --silent
	touch $@

demo: setup
	$(BIN)/fewview demo --out demo

# The browser tests drive Debian's Chromium.
test: setup $(READERS)
	./scripts/system-libraries chromium
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site, in build/site; a link that leads nowhere is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pictures of README and docs, from synthetic photos and people (minutes; build/pictures keeps the runs).
pictures: setup
	./scripts/system-libraries chromium
	$(BIN)/python scripts/pictures.py build/pictures

# Rebuilds only the native kernels (seconds, for work on the C++).
native:
	mkdir -p build
	flock build/.lock $(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt --editable .

clean:
	rm -rf build demo
