"""The whole product in one command: train -> sample -> trace -> evaluate -> audit -> report.

    python experiments/pipeline.py --run_dir=runs/quickstart

--frontier names a record of frontier.py on the same table, which the report then shows. Stages
whose output is already in the run folder are done again except training, which resumes.
"""

import time
from pathlib import Path

import audit
import evaluate
import sample
import train
from _common import FLAGS, locked, read_extras, read_manifest, read_stage, run_script
from _start import define_start_flag
from absl import flags

from synthdiff import load
from synthdiff._files import parse_json, seal, write_atomically
from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.eval.datasheet import write_datasheet
from synthdiff.eval.frontier import summarise_frontier
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


def read_frontier() -> dict | None:
    """What other settings gave, by the record of --frontier."""
    if not FLAGS.frontier:
        return None
    path, fix = Path(FLAGS.frontier), "name a record of frontier.py"
    if not path.exists():
        raise input_error(f"--frontier={path}", "no such file", fix)
    return summarise_frontier(parse_json(path, path.read_bytes(), fix), FLAGS.data)


def report(run_dir: Path) -> None:
    """Writes report.html, MODEL_CARD.md and DATASHEET.md from what the stages left."""
    if frontier := read_frontier():
        write_json(run_dir / "frontier.json", frontier)
        seal(run_dir, "frontier.json")
    found = {
        "manifest": read_manifest(run_dir),
        "schema": Schema.load(run_dir / "schema.json"),
        "evaluation": read_stage(run_dir / "evaluation.json", "evaluate"),
        "audit": read_stage(run_dir / "audit.json", "audit"),
    }
    made = {"training": read_metrics(run_dir / "metrics.jsonl")}
    write_report(run_dir / "report.html", **found, **made, **read_extras(run_dir))
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
    read_frontier()  # a mistake is known before the training
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
    flags.DEFINE_string("frontier", None, "record of frontier.py on the same table, to show")


if __name__ == "__main__":
    run_script(run_pipeline, define_flags)
