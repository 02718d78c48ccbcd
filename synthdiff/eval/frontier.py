"""What other settings gave: fidelity against exposure, of a sweep of the same table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from synthdiff._validate import input_error
from synthdiff.eval.spread import describe_spread

QUALITY = {
    "detection AUC": "detection AUC (0.5 is best)",
    "fidelity rate": "fidelity rate, %",
}
EXPOSURE = {
    "attack likelihood_influence AUC": "attack on the table, AUC (0.5 is chance)",
    "attack on the model, loss AUC": "attack on the model, AUC (0.5 is chance)",
}


def split_point(point: str) -> tuple[str, str]:
    """(knob, value) of "knob=value"; the default has no value."""
    knob, _, value = point.partition("=")
    return knob, value


def group_points(names: list[str]) -> dict[str, list[str]]:
    """{knob: its points in the order of their values}; the default is under its own name.

    Values that are no numbers, such as names of models, stay in the order in which they were given.
    """
    knobs: dict[str, list[str]] = {}
    for name in names:
        knobs.setdefault(split_point(name)[0], []).append(name)
    for points in knobs.values():
        values = pd.to_numeric(pd.Series([split_point(name)[1] for name in points]), "coerce")
        points[:] = [points[at] for at in values.argsort(kind="stable")]
    return knobs


def summarise_frontier(record: Mapping, dataset: str) -> dict:
    """Mean and standard error of the scores of each point of a record of frontier.py.

    {"dataset", "command", "seeds", "points": {name: {score: {"mean", "error" or None}}}}.
    Raises InputError where the record is of another table, or is none of a sweep.
    """
    fix = "name a record of frontier.py on the same table"
    if record.get("dataset") != dataset or not record.get("runs"):
        problem = f"is of {record.get('dataset')!r}, and this run of {dataset!r}"
        raise input_error("--frontier", problem, fix)
    every = [run for runs in record["runs"].values() for run in runs.values()]
    for score in (*QUALITY, *EXPOSURE):
        if not all(score in run for run in every):
            raise input_error("--frontier", f"lacks {score!r}", fix)
    points = summarise_points(record["runs"], (*QUALITY, *EXPOSURE))
    seeds = max(len(runs) for runs in record["runs"].values())
    return {"dataset": dataset, "command": record["command"], "seeds": seeds, "points": points}


def summarise_points(
    runs: Mapping[str, Mapping[str, Mapping]], scores: Iterable[str]
) -> dict[str, dict[str, dict]]:
    """{point: {score: {"mean", "error"}}} from {point: {seed: scores}}; one seed has no error."""

    def summarise(values: list[float]) -> dict:
        found = describe_spread(values)
        error = None if found["std"] is None else found["std"] / len(values) ** 0.5
        return {"mean": found["mean"], "error": error}

    return {
        point: {score: summarise([run[score] for run in seeds.values()]) for score in scores}
        for point, seeds in runs.items()
    }
