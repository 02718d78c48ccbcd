#!/usr/bin/env bash
# Runs the tests in .venv-lowest, with every dependency at the lower bound that setup.py gives it.
# Arguments go to pytest. --dry_run prints the versions.
set -euo pipefail
cd "$(dirname "$0")/.."

# Python that prints "name==lower bound" for each requirement of the package and its extra dev.
LIST='
import re, setuptools
from distutils.core import run_setup

package = run_setup("setup.py", stop_after="init")
for text in [*package.install_requires, *package.extras_require["dev"]]:
    name, [lowest] = re.match(r"[\w.-]+", text)[0], re.findall(r"[>=]=([\w.]+)", text)
    print(f"{name}=={lowest}")
'
if [[ ${1:-} == --dry_run ]]; then
  exec "${PYTHON:-python3}" -c "$LIST"
fi
if [[ ! -x .venv-lowest/bin/python ]]; then
  python3 -m venv .venv-lowest
  .venv-lowest/bin/pip install --quiet --upgrade setuptools # which reads setup.py, and gives way below
fi
versions=$(.venv-lowest/bin/python -c "$LIST")
.venv-lowest/bin/pip install --quiet --constraint <(echo "$versions") --editable '.[dev]'
OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 "$@"
