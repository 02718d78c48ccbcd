"""The run folder: what stages leave in it for each other, and one process in it at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path

import pandas as pd
from _data import read_data, split_table

from synthdiff._files import hold_folder, parse_json, read_sealed, write_json
from synthdiff._validate import input_error
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.sdv import to_sdv
from synthdiff.data.table import read_table

SYNTHETIC = ("synthetic.csv", "synthetic")  # of a run: a file, or a folder of shards


def locked(stage: Callable[..., None]) -> Callable[..., None]:
    """The stage, while no other process writes into the run folder."""

    @wraps(stage)
    def held(run_dir: Path, *rest: object) -> None:
        with hold_folder(run_dir) if run_dir.is_dir() else nullcontext():
            stage(run_dir, *rest)

    return held


def read_stage(path: Path, stage: str) -> dict:
    """The JSON that a stage left and sealed, or an error that says to run the stage."""
    fix = f"run experiments/{stage}.py"
    return parse_json(path, read_sealed(path, fix), fix)


def read_manifest(run_dir: Path) -> dict:
    """The run's manifest, or an error that says to train first."""
    return read_stage(run_dir / "manifest.json", "train")


def write_metadata(run_dir: Path, table: pd.DataFrame, path: Path) -> None:
    """Names and kinds of a synthetic table's columns, for SDV and SDMetrics."""
    write_json(path, to_sdv(Schema.load(run_dir / "schema.json"), table))


def read_run(run_dir: Path) -> tuple[dict[str, pd.DataFrame], Schema]:
    """The tables that a finished run trained on and held out, with the synthetic one."""
    spec = read_manifest(run_dir)["data"]
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    found = [path for name in SYNTHETIC if (path := run_dir / name).exists()]
    if not found:
        raise input_error(str(run_dir), "no synthetic.csv", "run experiments/sample.py")
    if len(found) > 1:
        problem, fix = f"holds both {' and '.join(SYNTHETIC)}", "remove the one you do not mean"
        raise input_error(str(run_dir), problem, fix)
    if found[0].is_file():
        read_sealed(found[0], "run experiments/sample.py")
    return parts | {"synthetic": conform(read_table(found[0]), schema)}, schema
