"""Singling out (WP29): do predicates read off the synthetic table point to one real patient?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import category_keys, code_rows, numeric_values
from synthdiff.eval.predicates import NOBODY, draw_predicates, encode_tables
from synthdiff.eval.risk import compare_rates
from synthdiff.eval.statistics import wilson_interval

_MAX_QUERIES = 2000


def _owner(patients: np.ndarray) -> int:
    """The patient of all these rows, NOBODY where there is none or more than one."""
    return int(patients[0]) if len(patients) and (patients == patients[0]).all() else NOBODY


def first_hits(owners: np.ndarray) -> np.ndarray:
    """Whether each query points to a patient to whom no earlier query does. bool [queries]

    A second query about one patient exposes nobody new, so the unit stays the patient.
    """
    hits = np.zeros(len(owners), bool)
    hits[np.unique(owners, return_index=True)[1]] = True
    return hits & (owners != NOBODY)


def _cells(df: pd.DataFrame, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The column in long form: row numbers and values; missing cells are left out."""
    if column.kind == "code_set":
        return code_rows(df[column.name], column)
    numeric = column.is_numeric
    values = numeric_values(df[column.name], column) if numeric else category_keys(df[column.name])
    rows = np.flatnonzero(~pd.isna(values))
    return rows, values[rows]


def read_univariate(synthetic: pd.DataFrame, column: Column) -> list[tuple[str, object]]:
    """Predicates (operator, value) on one column that hold for exactly one synthetic row."""
    rows, values = _cells(synthetic, column)
    kept, counts = np.unique(values, return_counts=True)
    queries = [("==", value) for value in kept[counts == 1]]
    if column.is_numeric and len(kept):
        queries += [("<=", kept[0])] if counts[0] == 1 else []
        queries += [(">=", kept[-1])] if counts[-1] == 1 else []
    if len(synthetic) - len(np.unique(rows)) == 1:
        queries.append(("missing", None))
    return queries


def answer_univariate(
    queries: list[tuple[str, object]], df: pd.DataFrame, column: Column, patients: np.ndarray
) -> np.ndarray:
    """The one patient of `df` to whom each predicate points, else NOBODY. int [queries]"""
    rows, values = _cells(df, column)
    pairs = pd.DataFrame({"value": values, "patient": patients[rows]}).drop_duplicates()
    alone = pairs.drop_duplicates("value", keep=False).set_index("value")["patient"].to_dict()
    owners = []
    for operator, value in queries:
        if operator == "==":
            owners.append(alone.get(value, NOBODY))
        elif operator == "missing":
            owners.append(_owner(np.delete(patients, rows)))
        else:
            where = values <= value if operator == "<=" else values >= value
            owners.append(_owner(patients[rows[where]]))
    return np.array(owners, dtype=np.int64)


def _guess_univariate(
    synthetic: pd.DataFrame, column: Column, count: int, rng: np.random.Generator
) -> list[tuple[str, object]]:
    """Random predicates: a random value that occurs, and a random operator."""
    values = np.unique(_cells(synthetic, column)[1])
    if not len(values):
        return []
    operators = ("==", "<=", ">=") if column.is_numeric else ("==",)
    return [(rng.choice(operators), value) for value in rng.choice(values, count)]


def attack_univariate(
    sides: list[tuple[pd.DataFrame, np.ndarray]],
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
) -> dict:
    """Predicates on one column. sides: (table, patient of each row) of members and of controls."""
    queries = [(c, query) for c in schema.features for query in read_univariate(synthetic, c)]
    if len(queries) > _MAX_QUERIES:
        queries = [queries[i] for i in rng.choice(len(queries), _MAX_QUERIES, replace=False)]
    drawn = rng.integers(len(schema.features), size=_MAX_QUERIES)
    guesses = [
        (column, query)
        for at, column in enumerate(schema.features)
        for query in _guess_univariate(synthetic, column, int(np.sum(drawn == at)), rng)
    ]

    def hits(asked: list, df: pd.DataFrame, patients: np.ndarray) -> np.ndarray:
        owners = np.full(len(asked), NOBODY, np.int64)
        for column in schema.features:
            places = [i for i, (other, _) in enumerate(asked) if other is column]
            if places:
                own = [asked[i][1] for i in places]
                owners[places] = answer_univariate(own, df, column, patients)
        return first_hits(owners)

    guessed = hits(guesses, *sides[0])
    baseline = wilson_interval(int(guessed.sum()), max(len(guessed), 1))
    return compare_rates(hits(queries, *sides[0]), hits(queries, *sides[1]), baseline)


def attack_multivariate(
    sides: list[tuple[pd.DataFrame, np.ndarray]],
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
) -> dict:
    """Predicates on 2 to 8 columns, each just long enough to hold for one synthetic row only."""
    if len(schema.features) < 2:
        return {"skipped": "only one column"}
    members, controls, rows = encode_tables([*(df for df, _ in sides), synthetic], schema)
    numeric = np.array([column.is_numeric for column in schema.features])
    drawn = draw_predicates(rows, numeric, 3 * _MAX_QUERIES, rng, guess=False)
    queries = drawn.isolate(rows)[:_MAX_QUERIES]
    guesses = draw_predicates(rows, numeric, _MAX_QUERIES, rng, guess=True)
    guesses = guesses.cut(rng.integers(1, guesses.columns.shape[1], size=_MAX_QUERIES))
    guessed = first_hits(guesses.owners(members, sides[0][1]))
    return compare_rates(
        first_hits(queries.owners(members, sides[0][1])),
        first_hits(queries.owners(controls, sides[1][1])),
        wilson_interval(int(guessed.sum()), len(guessed)),
    )
