#!/usr/bin/env bash
# Sets up a virtual environment, installs, and runs train -> sample -> evaluate -> audit -> report
# on the RAND Health Insurance Experiment. Arguments go to experiments/pipeline.py.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --editable .
.venv/bin/python experiments/pipeline.py "$@"
