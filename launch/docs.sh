#!/usr/bin/env bash
# Builds the reference from the docstrings into site/: `pip install 'synthdiff[docs]'`, then
#
#   launch/docs.sh
#
# and open site/index.html. --dry_run prints what would run.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  [[ ! -x .venv/bin/python ]] || PYTHON=.venv/bin/python
fi
modules=()
for path in synthdiff/[a-z]*; do
  name=${path%.py}
  [[ $name == *.* ]] || modules+=("${name//\//.}")
done
command=("$PYTHON" -m pdoc --docformat google --output-directory site "${modules[@]}")
if [[ ${1:-} == --dry_run ]]; then
  printf '%q ' "${command[@]}" && echo
else
  "${command[@]}"
fi
