"""Repeats the pipeline over training seeds and records mean and spread beside the floor.

    python experiments/repeat.py --run_dir=runs/rand_hie --seeds=0,1,2 \\
        --record=experiments/results/rand_hie.json

Takes every flag of pipeline.py. Writes the record as JSON, and a Markdown table beside it.
"""

import json
import time
from pathlib import Path

import pipeline
from _common import FLAGS, define_numbers, run_script
from _results import define_record_flag, describe_origin, write_record
from _scores import read_scores, summarise
from _stages import read_manifest, read_run

from synthdiff._progress import track
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.several_models import attack_models


def format_markdown(record: dict) -> str:
    """The record as a Markdown table with what is needed to repeat it."""
    lines = [f"# {record['dataset']}, seeds {', '.join(map(str, record['seeds']))}", ""]
    lines += [f"- {key}: {record[key]}" for key in ("command", "commit", "device", "wall_seconds")]
    lines += [f"- verdicts of the audit: {', '.join(record['verdicts'])}", ""]
    rows = [
        [name, f"{score['mean']:.4g}", "" if score["std"] is None else f"{score['std']:.4g}"]
        for name, score in record["scores"].items()
    ]
    lines += format_rows(["score", "mean", "std over seeds"], rows)
    lines += ["", "Attacks over all models, 95% intervals over models and patients:", ""]
    rows = [
        [name, *("{value:.3f} ({lower:.3f} to {upper:.3f})".format(**f) for f in found.values())]
        for name, found in record["attacks_over_models"].items()
    ]
    lines += format_rows(["attack", "AUC", "TPR at 1% FPR"], rows)
    return "\n".join(lines) + "\n"


def define_flags() -> None:
    pipeline.define_flags()
    define_numbers("seeds", "0,1,2", "training seeds")
    define_record_flag()


def repeat(root: Path) -> None:
    """Runs every seed in a folder of its own and writes the record."""
    started, runs, verdicts = time.monotonic(), [], []
    for seed in track(list(map(int, FLAGS.seeds)), "seeds", "seed"):
        FLAGS["train.seed"].value = FLAGS.sample_seed = seed
        run_dir = root / f"seed{seed}"
        pipeline.run_pipeline(run_dir)
        runs.append(read_scores(run_dir))
        verdicts.append(json.loads((run_dir / "audit.json").read_text())["verdict"])
    manifest = read_manifest(run_dir)
    found = [read_run(root / f"seed{seed}") for seed in FLAGS.seeds]
    (parts, schema), tables = found[-1], [parts["synthetic"] for parts, _ in found]
    record = {
        "dataset": FLAGS.data,
        "seeds": [int(seed) for seed in FLAGS.seeds],
        **describe_origin(manifest),
        "parameters": manifest["parameters"],
        "wall_seconds": round(time.monotonic() - started),
        "verdicts": verdicts,
        "scores": summarise(runs),
        "attacks_over_models": attack_models(parts, tables, schema),
    }
    write_record(root / "record.json", record, format_markdown(record))


if __name__ == "__main__":
    run_script(repeat, define_flags)
