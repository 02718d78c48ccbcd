#!/usr/bin/env bash
# Runs a command of synthdiff on all workers of a Cloud TPU VM or pod:
#
#   launch/tpu_vm.sh --tpu=my-pod --zone=us-central2-b --install train --run_dir=/shared/run
#
# --install first copies the last commit into --folder (default synthdiff, in the home folder) of
# every worker and installs it there; where python3 is older than 3.11, name another by --python.
# The run folder has to be on storage that all workers see. After a preemption, give the same line
# again to resume. --dry_run prints what would run.
set -euo pipefail
cd "$(dirname "$0")/.."

tpu='' zone='' folder=synthdiff python=python3 install='' dry_run=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --tpu=*) tpu=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --folder=*) folder=${1#*=} ;;
    --python=*) python=${1#*=} ;;
    --install) install=1 ;;
    --dry_run) dry_run=1 ;;
    *) echo "unknown option $1, see $0" >&2 && exit 2 ;;
  esac
  shift
done
[[ -n $tpu && -n $zone ]] || { echo "give --tpu=NAME and --zone=ZONE" >&2 && exit 2; }
[[ $# -gt 0 ]] || { echo "name a command, for example train" >&2 && exit 2; }

run() {
  if [[ -n $dry_run ]]; then printf '%q ' "$@" && echo; else "$@"; fi
}
gcloud_tpu() { # subcommand, arguments
  run gcloud compute tpus tpu-vm "$@" "--zone=$zone" --worker=all
}

if [[ -n $install ]]; then
  archive=$(git rev-parse --short HEAD).tar.gz
  run git archive --output="/tmp/$archive" HEAD
  gcloud_tpu scp "/tmp/$archive" "$tpu:"
  gcloud_tpu ssh "$tpu" "--command=mkdir -p $folder && tar -xzf $archive -C $folder &&
$python -m venv $folder/.venv && $folder/.venv/bin/pip install -q -e '${folder}[tpu]'"
fi
printf -v flags ' %q' "$@"
gcloud_tpu ssh "$tpu" "--command=cd $folder && .venv/bin/python -m synthdiff$flags --coordinator=auto"
