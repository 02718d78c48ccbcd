#!/usr/bin/env bash
# Sets up a virtual environment, installs, and runs train -> sample -> evaluate -> audit -> report
# on the RAND Health Insurance Experiment. Arguments go to experiments/pipeline.py; without any, the
# report also shows what other settings gave.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --editable .
[ $# -gt 0 ] || set -- --frontier=experiments/results/frontier_rand_hie.json
.venv/bin/python experiments/pipeline.py "$@"
