"""Models of real, synthetic and balanced tables, compared by group of real test patients."""

import numpy as np
import pandas as pd
from _balanced import draw_balanced
from _scores import summarise

from synthdiff._validate import input_error
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.visits import count_records
from synthdiff.eval.fairness import resample_patients
from synthdiff.eval.features import patient_numbers
from synthdiff.eval.group_measures import MIN_GROUP_PATIENTS, make_measure
from synthdiff.eval.levels import code_levels, level_keys, name_levels
from synthdiff.eval.utility import Predictions
from synthdiff.synthesizer import Synthesizer

ARMS = ("as is", "balanced", "real + as is", "real + balanced")
SCORES = ("auroc", "accuracy", "r2")
REPEATS = 400


def draw_tables(
    model: Synthesizer, real: pd.DataFrame, schema: Schema, balance: str, rows: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables that models are trained on, by "arm, seed"; the real one first."""
    plain = model.sample(rows, seed=seed)
    balanced = draw_balanced(model, balance, rows, count_records(real, schema), seed)
    tables = {"real": real}
    for arm, table in (("as is", plain), ("balanced", balanced)):
        table = conform(table, schema)
        tables[f"{arm}, {seed}"] = table
        tables[f"real + {arm}, {seed}"] = pd.concat([real, table], ignore_index=True)
    return tables


def find_groups(
    parts: dict[str, pd.DataFrame], schema: Schema, name: str, rows: np.ndarray
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Level number and patient of the test `rows`, and the levels with enough test patients."""
    if not schema[name].is_categorical:
        raise input_error(f"column {name!r}", "has no levels to balance", "name a category")
    parts = {part: parts[part] for part in ("train", "test")}
    keys, order = level_keys({part: df[name] for part, df in parts.items()}, schema[name])
    ids = {part: patient_numbers(df, schema) for part, df in parts.items()}
    names, _ = name_levels(keys["train"], ids["train"], order)
    held = [len(np.unique(ids["test"][keys["test"] == level])) for level in names]
    groups = [g for g, count in zip(names, held, strict=True) if count >= MIN_GROUP_PATIENTS]
    if len(groups) < 2:
        fix = "balance a column with two levels that enough test patients have"
        raise input_error(f"column {name!r}", "fewer than two groups to compare", fix)
    return code_levels(keys["test"][rows], groups), groups, ids["test"][rows]


def measure_tables(
    predictions: Predictions, codes: np.ndarray, groups: list, patients: np.ndarray
) -> dict:
    """{table: {score: draws [1 + repeats]}}, the first draw being all test patients once."""
    rng = np.random.default_rng(0)
    weights = [np.ones(len(codes)), *(resample_patients(patients, rng) for _ in range(REPEATS))]
    found = {}
    for table in next(iter(predictions.predicted.values())):
        measure = make_measure(predictions, table, codes, patients)
        overall = make_measure(predictions, table, np.zeros(len(codes), int), patients)
        draws = [_name_scores(measure(w), overall(w), groups) for w in weights]
        found[table] = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
    return found


def _name_scores(by_group: dict, overall: dict, groups: list) -> dict[str, float]:
    scores = {name: float(overall[name][0]) for name in SCORES if name in overall}
    for name, values in by_group.items():
        if name.endswith("_gap"):
            scores[name] = float(values[0])
        elif name in SCORES:
            scores[f"{name}, worst group"] = float(np.min(values))
            scores |= {f"{name}, {g}": float(v) for g, v in zip(groups, values, strict=True)}
    return scores


def compare_arms(found: dict) -> dict:
    """Per score: real, each arm over seeds, and balanced minus as is with a 95% interval."""
    result = {}
    for name, real in found["real"].items():
        if not np.isfinite([draws[name] for draws in found.values()]).all():
            reason = f"a group has fewer than {MIN_GROUP_PATIENTS} test patients of a class"
            result[name] = {"skipped": reason}
            continue
        arms = {
            arm: [scores[name] for table, scores in found.items() if table.startswith(f"{arm}, ")]
            for arm in ARMS
        }
        row = {"real": float(real[0])}
        for arm, draws in arms.items():
            row[arm] = summarise([{name: float(draw[0])} for draw in draws])[name]
        for label, first, second in (("change", *ARMS[1::-1]), ("change, added", *ARMS[:1:-1])):
            change = np.mean(arms[first], axis=0) - np.mean(arms[second], axis=0)
            ends = np.quantile(change[1:], [0.025, 0.975]).tolist()
            row[label] = {"value": float(change[0]), "lower": ends[0], "upper": ends[1]}
        result[name] = row
    return result
