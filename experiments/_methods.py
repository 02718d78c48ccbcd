"""The generators that benchmark_quality.py compares, each as a function that draws tables."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _common import FLAGS
from _config import build_config as read_flag_config
from _results import describe_origin

from synthdiff._files import make_folder, parse_json
from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table, write_json, write_table
from synthdiff.eval.baselines import BASELINES, fit_ctgan
from synthdiff.eval.protocol.record import summarise
from synthdiff.eval.protocol.resume import score_draws
from synthdiff.eval.protocol.score import score_floor, score_table
from synthdiff.eval.protocol.tables import Roles, prepare
from synthdiff.synthesizer import fit

NETWORKS = ("unet", "mlp")
FLOORS = ("real", "copy")
BASELINE_METHODS = (*FLOORS, *BASELINES)
SEEDED = (*BASELINES, "ctgan", *NETWORKS)
METHODS = (*FLOORS, *SEEDED)
TABLE = "table{}.parquet"


def build_config(name: str) -> Config:
    """The config that the flags describe, with the network of the method."""
    config = read_flag_config()
    return replace(config, model=replace(config.model, name=name))


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
    return partial(_read, read_csv_flags()[name], without_patients)


def _read(files: list[Path], schema: Schema, index: int) -> pd.DataFrame:
    return conform(read_table(files[index]), schema)


def draw_method(name: str, seed: int, train: pd.DataFrame, schema: Schema, folder: Path) -> dict:
    """Draws the tables of a method that trains into its folder, and says where they were drawn.

    Those that are there are not drawn again, wherever it was: one machine may draw and another
    score. Returns {"seconds": of train and sample, "origin": command, commit, device, versions}.
    """
    print(f"== {name}, seed {seed}: tables", flush=True)
    folder, origin = make_folder(folder), folder / "origin.json"
    if not origin.exists():
        write_json(origin, describe_origin())

    def make_draw() -> Callable[[int], pd.DataFrame]:
        sample = make_sampler(name, seed, train, schema, folder)

        def draw(index: int) -> pd.DataFrame:
            table = sample(index)
            write_table(table, folder / TABLE.format(index))
            return table

        return draw

    settings = {"data": FLAGS.data, "config": find_config(name)}
    drawn = folder / "drawn.json"
    state = score_draws(drawn, settings, FLAGS.num_samples, make_draw, lambda t: {"rows": len(t)})
    fix = "remove the folder and draw again"
    return {"seconds": state["seconds"], "origin": parse_json(origin, origin.read_bytes(), fix)}


def find_config(name: str) -> dict | None:
    return build_config(name).to_json() if name in NETWORKS else None


def run_method(name: str, seed: int, parts: dict, schema: Schema, root: Path) -> dict:
    """The scores of one method and training seed; floors have one table and no seed.

    Returns the state of `score_draws`, and under "origin" where trained methods drew their tables.
    """
    folder, train = root / name / f"seed{seed}", parts["train"]
    budget = {"grid": FLAGS.mle_grid, "device": FLAGS.xgb_device}
    tables, roles = {k: prepare(v, schema) for k, v in parts.items()}, Roles.from_schema(schema)
    drawn = draw_method(name, seed, train, schema, folder) if name in SEEDED else {}
    without_patients = replace(schema, columns=schema.features)

    def score(table) -> dict:
        if name == "real":
            return score_floor(**tables, roles=roles, **budget)
        return score_table(**tables, synthetic=prepare(table, schema), roles=roles, **budget)

    def make_draw() -> Callable[[int], pd.DataFrame]:
        if not drawn:
            return make_sampler(name, seed, train, schema, folder)
        files = [folder / TABLE.format(index) for index in range(FLAGS.num_samples)]
        return partial(_read, files, without_patients)

    print(f"== {name}, seed {seed}: scores", flush=True)
    state = score_draws(
        folder / "scores.json",
        {"data": FLAGS.data, **budget, "config": find_config(name)},
        count_tables(name, FLAGS.num_samples),
        make_draw,
        score,
    )
    if drawn:
        state["seconds"] |= {stage: drawn["seconds"][stage] for stage in ("train", "sample")}
    return state | {"origin": drawn.get("origin")}


def repeat_method(name: str, seeds: list[int], parts: dict, schema: Schema, root: Path) -> dict:
    """What the record says of a method: scores over training seeds, seconds, where it ran."""
    used = seeds if name in SEEDED else [0]
    states = [run_method(name, seed, parts, schema, root) for seed in used]
    runs = [state["samples"] for state in states]
    return {
        "seeds": used,
        "num_samples": [len(run) for run in runs],
        "seconds": [state["seconds"] for state in states],
        "origins": [state["origin"] for state in states],
        "scores": summarise(runs),
    }
