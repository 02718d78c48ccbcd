"""The whole product in one command: train -> sample -> trace -> evaluate -> audit -> report.

    python experiments/pipeline.py --run_dir=runs/quickstart

--frontier names a record of frontier.py on the same table, which the report then shows. Stages
whose output is already in the run folder are done again except training, which resumes. Of several
processes (--coordinator) all train, and draw with --shard_rows; the first does the rest alone.
"""

import time
from pathlib import Path

import audit
import evaluate
import sample
import train
from _attacks import define_attack_flags
from _cluster import define_cluster_flags, is_left_to_us, on_cluster
from _common import FLAGS, run_script
from _config import define_training_flags
from _given import define_csv_flags
from _report import define_frontier_flag, read_frontier, report
from _stages import locked
from _start import define_start_flag

from synthdiff import load
from synthdiff._files import leave_private, write_json
from synthdiff.eval.trajectory import summarise_states
from synthdiff.sampling import draw_states
from synthdiff.train.processes import ask_first


@locked
def trace(run_dir: Path) -> None:
    """Writes trajectory.json: how the first synthetic rows, of no condition, come out of noise."""
    model = load(run_dir)
    states = draw_states(model.codec, model.config, model.params, seed=FLAGS.sample_seed)
    leave_private(run_dir, "trajectory.json", summarise_states(states, model.codec))


STAGES = {
    "train": train.train,
    "sample": sample.sample,
    "trace": trace,
    "evaluate": evaluate.run_evaluation,
    "audit": audit.run_audit,
    "report": report,
}


def run_pipeline(run_dir: Path) -> None:
    """Runs every stage and writes how long each took."""
    read_frontier(FLAGS.data)  # a mistake is known before the training
    seconds = {}
    shared = ("train", "sample") if FLAGS.shard_rows else ("train",)
    for name, stage in STAGES.items():
        if name not in shared and not is_left_to_us():
            return
        ask_first(lambda: None)  # what the first wrote is there for all
        print(f"== {name}")
        started = time.perf_counter()
        stage(run_dir)
        seconds[name] = round(time.perf_counter() - started, 1)
    write_json(run_dir / "timings.json", seconds)
    print("seconds:", ", ".join(f"{name} {spent}" for name, spent in seconds.items()))


def define_flags() -> None:
    define_training_flags()
    define_start_flag()
    sample.define_flags()
    define_csv_flags()
    define_attack_flags()
    define_frontier_flag()


if __name__ == "__main__":
    run_script(on_cluster(run_pipeline), define_flags, define_cluster_flags)
