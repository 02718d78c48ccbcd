"""The whole product in one command: train -> sample -> trace -> evaluate -> audit -> report.

    python experiments/pipeline.py --run_dir=runs/quickstart

Stages whose output is already in the run folder are done again except training, which resumes.
"""

import time
from pathlib import Path

import audit
import evaluate
import sample
import train
from _common import FLAGS, locked, read_manifest, read_stage, read_trajectory, run_script
from _start import define_start_flag

from synthdiff import load
from synthdiff._files import seal, write_atomically
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.eval.datasheet import write_datasheet
from synthdiff.eval.model_card import write_model_card
from synthdiff.eval.report import write_report
from synthdiff.eval.trajectory import summarise_states
from synthdiff.sampling import draw_states
from synthdiff.train.metrics import read_metrics


@locked
def trace(run_dir: Path) -> None:
    """Writes trajectory.json: how the first synthetic rows, of no condition, come out of noise."""
    model = load(run_dir)
    states = draw_states(model.codec, model.config, model.params, seed=FLAGS.sample_seed)
    write_json(run_dir / "trajectory.json", summarise_states(states, model.codec))
    seal(run_dir, "trajectory.json")


def report(run_dir: Path) -> None:
    """Writes report.html, MODEL_CARD.md and DATASHEET.md from what the stages left."""
    found = {
        "manifest": read_manifest(run_dir),
        "schema": Schema.load(run_dir / "schema.json"),
        "evaluation": read_stage(run_dir / "evaluation.json", "evaluate"),
        "audit": read_stage(run_dir / "audit.json", "audit"),
    }
    made = {"training": read_metrics(run_dir / "metrics.jsonl")}
    made["trajectory"] = read_trajectory(run_dir)
    write_report(run_dir / "report.html", **found, **made)
    write_atomically(run_dir / "MODEL_CARD.md", write_model_card(**found).encode())
    about = {name: found[name] for name in ("manifest", "schema")}
    write_atomically(run_dir / "DATASHEET.md", write_datasheet(**about).encode())
    print(f"report: {run_dir / 'report.html'}")


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
    seconds = {}
    for name, stage in STAGES.items():
        print(f"== {name}")
        started = time.perf_counter()
        stage(run_dir)
        seconds[name] = round(time.perf_counter() - started, 1)
    write_json(run_dir / "timings.json", seconds)
    print("seconds:", ", ".join(f"{name} {spent}" for name, spent in seconds.items()))


def define_flags() -> None:
    train.define_flags()
    define_start_flag()
    sample.define_flags()
    evaluate.define_flags()
    audit.define_flags()


if __name__ == "__main__":
    run_script(run_pipeline, define_flags)
