"""How benchmark_quality.py draws and scores its methods: each table once, also over machines."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
from _common import FLAGS
from _methods import SEEDED, count_tables, find_config, make_sampler, read_conformed
from _results import describe_origin

from synthdiff._files import make_folder, read_json, write_json
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_table
from synthdiff.eval.protocol.record import summarise
from synthdiff.eval.protocol.resume import score_draws
from synthdiff.eval.protocol.score import score_floor, score_table
from synthdiff.eval.protocol.tables import Roles, prepare

TABLE = "table{}.parquet"


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
    return {"seconds": state["seconds"], "origin": read_json(origin, fix)}


def run_method(name: str, seed: int, parts: dict, schema: Schema, root: Path) -> dict:
    """The scores of one method and training seed; floors have one table and no seed.

    Returns the state of `score_draws`, and under "origin" where trained methods drew their tables.
    """
    folder, train = root / name / f"seed{seed}", parts["train"]
    place = {"device": FLAGS.xgb_device}
    tables, roles = {k: prepare(v, schema) for k, v in parts.items()}, Roles.from_schema(schema)
    drawn = draw_method(name, seed, train, schema, folder) if name in SEEDED else {}
    without_patients = replace(schema, columns=schema.features)

    def score(table) -> dict:
        if name == "real":
            return score_floor(**tables, roles=roles, **place)
        return score_table(**tables, synthetic=prepare(table, schema), roles=roles, **place)

    def make_draw() -> Callable[[int], pd.DataFrame]:
        if not drawn:
            return make_sampler(name, seed, train, schema, folder)
        files = [folder / TABLE.format(index) for index in range(FLAGS.num_samples)]
        return partial(read_conformed, files, without_patients)

    print(f"== {name}, seed {seed}: scores", flush=True)
    state = score_draws(
        folder / "scores.json",
        {"data": FLAGS.data, **place, "config": find_config(name)},
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
