"""A cohort among other patients: its rows, theirs, and the plot of what they are worth to it."""

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from _scores import summarise

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.game import patient_ids

ARMS = ("alone", "pretrained")
SHOWN = {
    "detection AUC": "detection AUC (0.5 is best)",
    "utility tstr auroc": "AUROC of models trained on it",
    "attack on the model, loss AUC": "attack on the model, AUC",
}


def part_cohort(
    df: pd.DataFrame, schema: Schema, cohort: str
) -> tuple[pd.DataFrame, pd.DataFrame, Schema]:
    """Rows of the cohort, rows of all other patients, and the schema without its column."""
    name, _, value = cohort.partition("=")
    if name not in [column.name for column in schema.features]:
        raise input_error(f"--cohort={cohort}", "no such column", "write column=value")
    ids = pd.Series(patient_ids(df, schema, "table"), df.index)
    inside = ids.isin(ids[df[name].astype(str) == value])
    if inside.all() or not inside.any():
        known = ", ".join(map(str, df[name].value_counts().index[:10]))
        problem = "holds every patient or none"
        raise input_error(f"--cohort={cohort}", problem, f"use one of {known}")
    df = df.drop(columns=name)
    columns = tuple(column for column in schema.columns if column.name != name)
    roles = {"target": None} if schema.target == name else {}
    sensitive = tuple(column for column in schema.sensitive if column != name)
    schema = replace(schema, columns=columns, sensitive=sensitive, **roles)
    return df[inside].reset_index(drop=True), df[~inside].reset_index(drop=True), schema


def plot_sizes(record: dict, path: Path) -> None:
    """A panel per score of SHOWN: means over seeds by arm against patients, floors dashed."""
    runs = {name: summarise(list(found.values())) for name, found in record["runs"].items()}
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(4.2 * len(SHOWN), 3.6))
    for axis, (score, label) in zip(axes, SHOWN.items(), strict=True):
        for arm in ARMS:
            found = {
                int(name.split(", ")[1]): s[score]
                for name, s in runs.items()
                if name.startswith(f"{arm}, ") and score in s
            }
            means, spread = ([s[part] or 0.0 for s in found.values()] for part in ("mean", "std"))
            axis.errorbar(list(found), means, spread, fmt="o-", label=arm, capsize=3)
        if score in runs["first model"]:
            axis.axhline(runs["first model"][score]["mean"], ls="--", c="grey", label="first model")
        axis.set(xscale="log", xlabel="patients of the cohort", ylabel=label)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
