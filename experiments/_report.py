"""Report, card and datasheet of a run, from what its stages left."""

from __future__ import annotations

from pathlib import Path

from _common import FLAGS
from _stages import read_manifest, read_stage
from absl import flags

from synthdiff._files import leave_private, read_json, write_atomically
from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.datasheet import write_datasheet
from synthdiff.eval.frontier import summarise_frontier
from synthdiff.eval.model_card import write_model_card
from synthdiff.eval.report import write_report
from synthdiff.train.metrics import read_metrics


def define_frontier_flag() -> None:
    flags.DEFINE_string("frontier", None, "record of frontier.py on the same table, to show")


def read_frontier(dataset: str) -> dict | None:
    """What other settings gave on this data set, by the record of --frontier."""
    if not FLAGS.frontier:
        return None
    path, fix = Path(FLAGS.frontier), "name a record of frontier.py"
    if not path.exists():
        raise input_error(f"--frontier={path}", "no such file", fix)
    return summarise_frontier(read_json(path, fix), dataset)


def read_extras(run_dir: Path) -> dict[str, dict | None]:
    """What stages left for the report beside the scores; None where they left none."""
    stages = {"trajectory": "pipeline", "frontier": "pipeline", "canaries": "validate_dp"}
    paths = {name: run_dir / f"{name}.json" for name in stages}
    return {n: read_stage(path, stages[n]) if path.exists() else None for n, path in paths.items()}


def report(run_dir: Path) -> None:
    """Writes report.html, MODEL_CARD.md and DATASHEET.md from what the stages left."""
    manifest = read_manifest(run_dir)
    if frontier := read_frontier(manifest["dataset"]):
        leave_private(run_dir, "frontier.json", frontier)
    found = {
        "manifest": manifest,
        "schema": Schema.load(run_dir / "schema.json"),
        "evaluation": read_stage(run_dir / "evaluation.json", "evaluate"),
        "audit": read_stage(run_dir / "audit.json", "audit"),
    }
    made, extras = {"training": read_metrics(run_dir / "metrics.jsonl")}, read_extras(run_dir)
    write_report(run_dir / "report.html", **found, **made, **extras)
    card = write_model_card(**found, canaries=extras["canaries"])
    write_atomically(run_dir / "MODEL_CARD.md", card.encode())
    about = {name: found[name] for name in ("manifest", "schema")}
    sheet = write_datasheet(**about).encode()
    write_atomically(run_dir / "DATASHEET.md", sheet, private=True)
    print(f"report: {run_dir / 'report.html'}")
