"""Whether the synthetic table holds the variety of the real one: rare levels, pairs, rows.

A large table shows more variety by size alone. So presence is counted by rarefaction (Hurlbert,
Ecology 52, 1971): the chance that a random part of m rows holds a level that k of all N rows hold
is 1 - C(N - k, m) / C(N, m), which needs no drawing. Synthetic and real tables share one m.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import code_rows, patient_numbers, row_keys
from synthdiff.eval.levels import MIN_PATIENTS, code_levels, level_keys
from synthdiff.eval.utility import SOURCES, Predictions

RARE = 0.01
_MAX_ROWS = 20_000
_MIN_CLASS_PATIENTS = 20


def presence(counts: np.ndarray, total: int, rows: int) -> np.ndarray:
    """P(a random part of `rows` of the `total` rows holds a level that counts [n] rows hold)."""
    return np.clip(1 - hypergeom.pmf(0, total, counts, rows), 0, 1)


def _long_keys(series: pd.Series, column: Column) -> tuple[np.ndarray, np.ndarray]:
    if column.kind == "code_set":
        return code_rows(series, column)
    keys = level_keys({"train": series}, column)[0]["train"]
    return np.arange(len(keys)), keys


def _rare_counts(
    tables: Mapping[str, pd.DataFrame], ids: np.ndarray, column: Column
) -> dict[str, np.ndarray]:
    """Rows with each rare level of the training table, in each table: {part: int [levels]}."""
    rows, keys = _long_keys(tables["train"][column.name], column)
    codes, levels = pd.factorize(keys)
    counts = np.bincount(codes, minlength=len(levels))
    rare = counts < RARE * len(tables["train"])
    rare &= count_patients(codes, len(levels), ids[rows]) >= MIN_PATIENTS
    found = {"train": counts[rare]}
    for part in ("test", "synthetic"):
        _, keys = _long_keys(tables[part][column.name], column)
        places = code_levels(keys, list(levels[rare]))
        found[part] = np.bincount(places[places >= 0], minlength=int(rare.sum()))
    return found


def _rare_levels(tables: Mapping[str, pd.DataFrame], ids: np.ndarray, schema: Schema) -> dict:
    """Rare levels and codes of all columns: how many appear, and how often beside the real share.

    A level is rare where at least 5 training patients but under 1% of the rows have it.
    """
    columns = [column for column in schema.features if not column.is_numeric]
    counts = [_rare_counts(tables, ids, column) for column in columns]
    levels = sum(len(count["train"]) for count in counts)
    if not levels:
        return {"skipped": "no level is rare and held by enough patients"}
    joined = {part: np.concatenate([count[part] for count in counts]) for part in tables}
    sizes = {part: len(df) for part, df in tables.items()}
    rows = min(sizes["test"], sizes["synthetic"])
    share = joined["train"].sum() / sizes["train"]
    result: dict[str, Any] = {"levels": levels, "rows": rows}
    for name, part in (("synthetic", "synthetic"), ("floor", "test")):
        result[name] = {
            "recall": float(presence(joined[part], sizes[part], rows).mean()),
            "prevalence_ratio": float(joined[part].sum() / sizes[part] / share),
        }
    return result


def _distinct_rows(tables: Mapping[str, pd.DataFrame], schema: Schema) -> dict:
    """Expected share of distinct rows (all columns but the patient) in a part of m rows."""
    counts = {}
    for part in ("synthetic", "test"):
        counts[part] = np.unique(row_keys(tables[part], schema), return_counts=True)[1]
    rows = min(len(tables["synthetic"]), len(tables["test"]))
    shares = {
        part: float(presence(count, int(count.sum()), rows).sum() / rows)
        for part, count in counts.items()
    }
    return {"synthetic": shares["synthetic"], "floor": shares["test"], "rows": rows}


def _pair_cells(
    tables: Mapping[str, pd.DataFrame], schema: Schema
) -> Iterator[dict[str, np.ndarray]]:
    """Cell number of each row of each table, for every pair of columns but code sets."""
    encoded = []
    for column in schema.features:
        if column.kind == "code_set":
            continue
        keys, _ = level_keys({part: df[column.name] for part, df in tables.items()}, column)
        codes, levels = pd.factorize(np.concatenate(list(keys.values())))
        ends = np.cumsum([len(found) for found in keys.values()])[:-1]
        encoded.append((dict(zip(keys, np.split(codes, ends), strict=True)), len(levels)))
    for (first, _), (second, width) in combinations(encoded, 2):
        yield {part: first[part] * width + second[part] for part in tables}


def _pair_coverage(tables: Mapping[str, pd.DataFrame], ids: np.ndarray, schema: Schema) -> dict:
    """Share of the level combinations of the test rows that another table holds too.

    Counts the combinations in two columns (numbers cut at quartiles) of at least 5 test
    patients; ids: of the test rows. The floor is the training table, in a part as large.
    """
    rows = min(len(tables["train"]), len(tables["synthetic"]))
    found = {"synthetic": 0.0, "train": 0.0}
    wanted = 0
    for cells in _pair_cells(tables, schema):
        kept, codes = np.unique(cells["test"], return_inverse=True)
        kept = kept[count_patients(codes, len(kept), ids) >= MIN_PATIENTS]
        if not len(kept):
            continue
        wanted += len(kept)
        for part in found:
            places = np.minimum(np.searchsorted(kept, cells[part]), len(kept) - 1)
            held = places[kept[places] == cells[part]]
            counts = np.bincount(held, minlength=len(kept))
            found[part] += presence(counts, len(cells[part]), rows).sum()
    if not wanted:
        return {"skipped": "no pair of levels is held by enough test patients"}
    shares = {part: float(value / wanted) for part, value in found.items()}
    return {"combinations": wanted, "synthetic": shares["synthetic"], "floor": shares["train"],
            "rows": rows}  # fmt: skip


def _minority_class(predictions: Predictions | dict, patients: np.ndarray) -> dict:
    """Recall of the target's rarest class by models of synthetic and of real rows (the floor).

    Of the classes with at least 20 test patients. patients: of the test rows.
    """
    if isinstance(predictions, dict):
        return predictions
    if not predictions.classes:
        return {"skipped": "the target is a number"}
    truth, patients = predictions.truth, patients[predictions.rows]
    counts = count_patients(truth, len(predictions.classes), patients)
    known = np.flatnonzero(counts >= _MIN_CLASS_PATIENTS)
    if len(known) < 2:
        return {"skipped": f"fewer than two classes have {_MIN_CLASS_PATIENTS} test patients"}
    rarest = known[np.argmin(np.bincount(truth, minlength=len(counts))[known])]
    recall = {
        source: np.mean(
            [
                np.mean(predicted[source][truth == rarest].argmax(axis=1) == rarest)
                for predicted in predictions.predicted.values()
            ]
        )
        for source in SOURCES
    }
    return {
        "class": predictions.classes[rarest],
        "share": float(np.mean(truth == rarest)),
        "synthetic": float(recall["synthetic"]),
        "floor": float(recall["train"]),
    }


def evaluate_diversity(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    predictions: Predictions | dict,
) -> dict:
    """Recall of rare levels and of the rarest class, distinct rows and coverage of pairs.

    Each is beside what real rows reach: "floor" (for the class: models trained on real rows).
    Tables are cut to their first 20,000 rows for pairs.
    """
    tables = {"train": train, "test": test, "synthetic": synthetic}
    ids = {part: patient_numbers(tables[part], schema) for part in ("train", "test")}
    heads = {part: df.head(_MAX_ROWS) for part, df in tables.items()}
    return {
        "rare_levels": _rare_levels(tables, ids["train"], schema),
        "minority_class": _minority_class(predictions, ids["test"]),
        "distinct_rows": _distinct_rows(tables, schema),
        "pair_coverage": _pair_coverage(heads, ids["test"][:_MAX_ROWS], schema),
    }
