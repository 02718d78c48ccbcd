"""The generators that benchmark_quality.py compares, each as a function that draws tables."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _common import FLAGS
from _config import build_config as read_flag_config

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table
from synthdiff.eval.baselines import BASELINES, fit_ctgan
from synthdiff.synthesizer import fit

NETWORKS = ("unet", "mlp")
FLOORS = ("real", "copy")
BASELINE_METHODS = (*FLOORS, *BASELINES)
SEEDED = (*BASELINES, "ctgan", *NETWORKS)
METHODS = (*FLOORS, *SEEDED)


def build_config(name: str) -> Config:
    """The config that the flags describe, with the network of the method."""
    config = read_flag_config()
    return replace(config, model=replace(config.model, name=name))


def find_config(name: str) -> dict | None:
    """The settings of a network of ours, for the record; others have none."""
    return build_config(name).to_json() if name in NETWORKS else None


def read_csv_flags() -> dict[str, list[Path]]:
    """{method: its tables} of the --csv=name:path flags; a path may hold wildcards."""
    tables = {}
    for item in FLAGS.csv:
        name, _, pattern = item.partition(":")
        path = Path(pattern)
        files = sorted(path.parent.glob(path.name)) if pattern else []
        if not files or name in METHODS:
            fix = f"write name:path with a new name (not {', '.join(METHODS)}) and existing files"
            raise input_error(f"--csv={item}", "names no table, or a method of ours", fix)
        tables[name] = files
    return tables


def count_tables(name: str, num_samples: int) -> int:
    """Tables to score: one for a floor, as many as there are files for another's method."""
    if name in FLOORS:
        return 1
    return num_samples if name in SEEDED else min(num_samples, len(read_csv_flags()[name]))


def make_sampler(
    name: str, seed: int, train: pd.DataFrame, schema: Schema, folder: Path
) -> Callable[[int], pd.DataFrame]:
    """Trains the method if it needs training; returns `draw(index of the table)`."""
    rows = len(train)
    if name in FLOORS:
        return lambda index: train
    if name in BASELINES:
        return lambda i: BASELINES[name](train, schema, rows, np.random.default_rng([seed, i]))
    if name == "ctgan":
        sample = fit_ctgan(train, schema, seed)
        return lambda index: sample(rows)
    if name in NETWORKS:
        model = fit(train, schema, config=build_config(name), folder=folder, seed=seed)
        return lambda index: model.sample(rows, seed=index)
    without_patients = replace(schema, columns=schema.features)
    return partial(read_conformed, read_csv_flags()[name], without_patients)


def read_conformed(files: list[Path], schema: Schema, index: int) -> pd.DataFrame:
    """The table of this index, in the types of the schema."""
    return conform(read_table(files[index]), schema)
