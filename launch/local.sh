#!/usr/bin/env bash
# Runs a command of synthdiff as several processes of this machine, joined over loopback:
#
#   launch/local.sh --num_processes=2 train --run_dir=runs/two
#
# One process drives all devices of a machine, so this is for trying out what many machines will
# do; the i-th process gets the i-th GPU. When one process fails, the others are ended too. Flags
# of the command come after its name. --dry_run prints what would run. Needs bash 4.4.
set -euo pipefail
cd "$(dirname "$0")/.."

num_processes=2 port=8476 dry_run=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --num_processes=*) num_processes=${1#*=} ;;
    --port=*) port=${1#*=} ;;
    --dry_run) dry_run=1 ;;
    *) echo "unknown option $1, see $0" >&2 && exit 2 ;;
  esac
  shift
done
[[ $# -gt 0 ]] || { echo "name a command, for example train" >&2 && exit 2; }
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  [[ ! -x .venv/bin/python ]] || PYTHON=.venv/bin/python
fi

processes=()
finish() { # signal
  kill "-$1" "${processes[@]}" 2>/dev/null || true
  wait
}
trap 'finish KILL' EXIT # when one has failed, the others would wait for it
trap 'finish TERM; exit 143' TERM
trap 'finish TERM; exit 130' INT
for ((i = 0; i < num_processes; i++)); do
  command=("$PYTHON" -m synthdiff "$@" "--coordinator=127.0.0.1:$port"
    "--num_processes=$num_processes" "--process_id=$i")
  if [[ -n $dry_run ]]; then
    printf 'CUDA_VISIBLE_DEVICES=%s' "$i" && printf ' %q' "${command[@]}" && echo
  else
    CUDA_VISIBLE_DEVICES=$i "${command[@]}" &
    processes+=("$!")
  fi
done
while [[ ${#processes[@]} -gt 0 ]]; do
  for i in "${!processes[@]}"; do
    kill -0 "${processes[i]}" 2>/dev/null && continue
    wait "${processes[i]}" # ends this script where that process failed
    unset "processes[i]"
  done
  sleep 0.5
done
