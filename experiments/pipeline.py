"""The whole product in one command: train -> sample -> evaluate -> audit -> report.

    python experiments/pipeline.py --run_dir=runs/quickstart

Stages whose output is already in the run folder are done again except training, which resumes.
"""

import json
import time
from pathlib import Path

import audit
import evaluate
import sample
import train
from _common import read_manifest, run_script

from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.eval.model_card import write_model_card
from synthdiff.eval.report import write_report
from synthdiff.train.metrics import read_metrics


def report(run_dir: Path) -> None:
    """Writes report.html and MODEL_CARD.md from what the stages left in the run folder."""
    found = {
        "manifest": read_manifest(run_dir),
        "schema": Schema.load(run_dir / "schema.json"),
        "evaluation": json.loads((run_dir / "evaluation.json").read_text()),
        "audit": json.loads((run_dir / "audit.json").read_text()),
    }
    training = read_metrics(run_dir / "metrics.jsonl")
    write_report(run_dir / "report.html", **found, training=training)
    (run_dir / "MODEL_CARD.md").write_text(write_model_card(**found), encoding="utf-8")
    print(f"report: {run_dir / 'report.html'}")


STAGES = {
    "train": train.train,
    "sample": sample.sample,
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
    sample.define_flags()
    evaluate.define_flags()
    audit.define_flags()


if __name__ == "__main__":
    run_script(run_pipeline, define_flags)
