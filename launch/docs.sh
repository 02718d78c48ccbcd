#!/usr/bin/env bash
# Builds the guide (README and the like, tutorials) and the reference from the docstrings into
# site/: `pip install 'synthdiff[docs]'`, then
#
#   launch/docs.sh
#
# and open site/index.html. Arguments are the modules to document, by default all of the package.
# --dry_run prints what would run.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  [[ ! -x .venv/bin/python ]] || PYTHON=.venv/bin/python
fi
dry_run=
[[ ${1:-} != --dry_run ]] || { dry_run=yes && shift; }
modules=("$@")
for path in synthdiff/[a-z]*; do
  name=${path%.py}
  [[ $# -gt 0 || $name == *.* ]] || modules+=("${name//\//.}")
done

guide=$(mktemp -d)
trap 'rm -r "$guide"' EXIT
add_page() { # NAME FILE: a module whose docstring is the file, with links that hold in site/
  sed -E -e 's|\]\(experiments/results/README\.md|](results.html|g' \
    -e 's|\]\(ARCHITECTURE\.md|](architecture.html|g; s|\]\(CHANGELOG\.md|](changelog.html|g' \
    -e 's|\]\(\.\./|](../experiments/|g; s|\]\(([a-z_]+\.md)|](../experiments/results/\1|g' \
    "$2" > "$guide/$1.text"
  echo "\"\"\".. include:: $1.text\"\"\"" > "$guide/$1.py"
  pages+=("$guide/$1.py")
}
fence="\`\`\`"
for path in experiments/tutorials/*.py; do
  printf '## %s\n\n%s\n%s\n%s\n\n' "${path##*/}" "${fence}python" "$(< "$path")" "$fence"
done > "$guide/tutorials.md"
add_page readme README.md
add_page tutorials "$guide/tutorials.md"
add_page architecture ARCHITECTURE.md
add_page results experiments/results/README.md
add_page changelog CHANGELOG.md
command=("$PYTHON" -m pdoc --docformat google --output-directory site "${pages[@]}" "${modules[@]}")
if [[ $dry_run ]]; then
  printf '%q ' "${command[@]}" && echo
else
  "${command[@]}"
fi
