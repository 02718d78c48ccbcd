#!/usr/bin/env bash
#SBATCH --job-name=synthdiff
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
# Runs a command of synthdiff as one process per task. Submit it from the repository:
#
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 --time=4:00:00 \
#       launch/slurm.sh train --run_dir=/shared/run
#
# Give one task per GPU: under SLURM, JAX shows each task one. A preempted job goes back into the
# queue, and so does one near its time limit: three minutes before it the processes get SIGTERM.
# So does one whose processes end with 75: they were stopped, and their state is saved. It resumes
# from the run folder, which all nodes have to see. Options of sbatch come before
# this script, flags of the command after its name. `bash launch/slurm.sh --dry_run train ...`
# prints what a job would run.
set -euo pipefail

dry_run=
if [[ ${1:-} == --dry_run ]]; then dry_run=1 && shift; fi
[[ $# -gt 0 ]] || { echo "name a command, for example train" >&2 && exit 2; }
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  [[ ! -x .venv/bin/python ]] || PYTHON=.venv/bin/python
fi
command=(srun --kill-on-bad-exit=1 "$PYTHON" -m synthdiff "$@" --coordinator=auto)
if [[ -n $dry_run ]]; then
  printf '%q ' "${command[@]}" && echo
  exit
fi

requeue() {
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}
# srun hands SIGTERM on to every process
trap 'kill -TERM "$!" || true; wait "$!" || true; requeue' USR1
"${command[@]}" &
status=0
wait "$!" || status=$?
[[ $status -ne 75 ]] || requeue
exit "$status"
