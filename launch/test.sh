#!/usr/bin/env bash
# Sets up a virtual environment, installs, checks the style and runs every test.
# Arguments go to pytest. Tests that need data sets skip unless SYNTHDIFF_DATA names their folder.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --editable '.[dev]'
.venv/bin/ruff check .
.venv/bin/ruff format --check .
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 "$@"
