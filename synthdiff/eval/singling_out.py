"""Singling out (WP29): do predicates read off the synthetic table point to one real patient?

A predicate succeeds where it holds for exactly one of the patients learnt from, however many they
are: asking some of them only would miss whoever is singled out among the others. It singles out
more easily among fewer, so what chance finds among the held-out is brought to their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff._progress import track
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import long_cells
from synthdiff.eval.predicates import NOBODY, Hits, draw_predicates, encode_tables
from synthdiff.eval.risk import describe_rates, residual_risk
from synthdiff.eval.statistics import clustered_variance, wilson_interval

Sides = Sequence[tuple[pd.DataFrame, np.ndarray]]
MOST = 1.75  # members to a held-out patient: near 2 the estimate of chance no longer settles
_MAX_QUERIES = 2000


def chance_of_one(sizes: np.ndarray, ratio: float) -> np.ndarray:
    """For a predicate that holds for `sizes` of n people, an estimate of the chance that it holds
    for exactly one of ratio * n others.

    Without bias for a ratio up to MOST: a count thinned to one where the ratio is below 1, and its
    extension beyond (Good and Toulmin 1956). For larger ratios, where that does not settle, more
    than chance finds: predicates that hold for one count, and no others.
    """
    beyond = (1.0 - ratio) if ratio <= MOST else 0.0
    return ratio * sizes * np.power(beyond, np.maximum(sizes - 1, 0))


def compare_hits(members: Hits, others: Hits, guessed: Hits, people: tuple[int, int]) -> dict:
    """The record of an attack from what its queries find among members and among held-out
    patients, and from what random ones find among members; people: how many of either there are.

    Where several queries find one patient they count as one attempt. With more than MOST members
    to a held-out patient nobody can say what chance finds, and all that is found counts as risk.
    """
    ratio = people[0] / people[1]
    hits = _count(members.owners != NOBODY, members.owners)
    luck = _count(guessed.owners != NOBODY, guessed.owners)
    chances = chance_of_one(others.sizes, ratio)
    control = _count(chances, others.owners, max(ratio, 1.0))
    baseline = wilson_interval(luck[0], max(luck[1], 1))
    record = describe_rates((*hits, *control), baseline)
    if "p_value" in record:
        record["p_value"] = max(record["p_value"], _compare_means(members, others, chances))
    if "residual" in record and ratio > MOST:
        record["residual"] = residual_risk(*hits, 0, control[1])
    return record


def _compare_means(members: Hits, others: Hits, chances: np.ndarray) -> float:
    """One-sided p-value of more hits on members than the estimates of chance let one expect.

    By the spread that the estimates have: with more members than held-out patients single ones lie
    outside 0 to 1, and Fisher's test of their rate is too sure (p < .05 in a fifth of cases where
    nothing is to be found, and three members to two others).
    """
    hit = (members.owners != NOBODY).astype(float)
    variance = sum(
        clustered_variance(values, _tell_apart(side.owners))
        for values, side in ((hit, members), (chances, others))
    )
    excess = float(hit.mean() - chances.mean())
    if not variance:  # every query or none succeeds: then Fisher's test says it all
        return 0.0
    return float(stats.norm.sf(excess / np.sqrt(variance)))


def _tell_apart(owners: np.ndarray) -> np.ndarray:
    """Owners, with a number of its own for each query that finds nobody."""
    return np.where(owners == NOBODY, -1 - np.arange(len(owners)) - abs(NOBODY), owners)


def _count(found: np.ndarray, owners: np.ndarray, worth: float = 1.0) -> tuple[int, int]:
    """Successes and attempts of queries [queries] of which an average of k find the same patient,
    and of which one counts for `worth`: as many attempts as have this rate's spread.
    """
    known, repeats = np.unique(owners[owners != NOBODY], return_counts=True)
    together = np.sum(repeats**2) / np.sum(repeats) if len(known) else 1.0
    attempts = round(len(owners) / together / worth)
    rate = float(np.mean(found)) if len(found) else 0.0
    return round(min(max(rate, 0.0), 1.0) * attempts), attempts


def read_univariate(synthetic: pd.DataFrame, column: Column) -> list[tuple[str, object]]:
    """Predicates (operator, value) on one column that hold for exactly one synthetic row."""
    rows, values = long_cells(synthetic[column.name], column)
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
) -> Hits:
    """Whom, and how many patients, each predicate holds for."""
    rows, values = long_cells(df[column.name], column)
    pairs = pd.DataFrame({"value": values, "patient": patients[rows]}).drop_duplicates()
    equal = pairs.groupby("value")["patient"].agg(["first", "size"])
    found = [(NOBODY, 0)] * len(queries)
    for at, (operator, value) in enumerate(queries):
        if operator == "==":
            found[at] = tuple(equal.loc[value]) if value in equal.index else (NOBODY, 0)
            continue
        who = np.delete(patients, rows)
        if operator != "missing":
            who = patients[rows[values <= value if operator == "<=" else values >= value]]
        who = np.unique(who)
        found[at] = (who[0] if len(who) else NOBODY, len(who))
    owners, sizes = np.array(found, np.int64).reshape(-1, 2).T
    return Hits(np.where(sizes == 1, owners, NOBODY), sizes)


def _guess_univariate(
    synthetic: pd.DataFrame, column: Column, count: int, rng: np.random.Generator
) -> list[tuple[str, object]]:
    """Random predicates: a random value that occurs, and a random operator."""
    values = np.unique(long_cells(synthetic[column.name], column)[1])
    if not len(values):
        return []
    operators = ("==", "<=", ">=") if column.is_numeric else ("==",)
    return [(rng.choice(operators), value) for value in rng.choice(values, count)]


def attack_univariate(
    sides: Sides, synthetic: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> dict:
    """Predicates on one column. sides: (table, patient of each row) of members and of others."""
    queries = [(c, query) for c in schema.features for query in read_univariate(synthetic, c)]
    if len(queries) > _MAX_QUERIES:
        queries = [queries[i] for i in rng.choice(len(queries), _MAX_QUERIES, replace=False)]
    drawn = rng.integers(len(schema.features), size=_MAX_QUERIES)
    guesses = [
        (column, query)
        for at, column in enumerate(schema.features)
        for query in _guess_univariate(synthetic, column, int(np.sum(drawn == at)), rng)
    ]

    def answer(asked: list, side: tuple[pd.DataFrame, np.ndarray]) -> Hits:
        hits = Hits(np.full(len(asked), NOBODY, np.int64), np.zeros(len(asked), np.int64))
        for column in track(schema.features, "predicates on one column", "column"):
            places = [i for i, (other, _) in enumerate(asked) if other is column]
            if places:
                own = [asked[i][1] for i in places]
                hits.owners[places], hits.sizes[places] = answer_univariate(
                    own, side[0], column, side[1]
                )
        return hits

    own, other, luck = (
        answer(queries, sides[0]),
        answer(queries, sides[1]),
        answer(guesses, sides[0]),
    )
    return compare_hits(own, other, luck, _count_people(sides))


def attack_multivariate(
    sides: Sides, synthetic: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> dict[str, dict]:
    """Predicates on up to 8 columns that hold for one synthetic row only: each just long enough for
    that, and each of as many columns as there are. The short find who is alike, the long ones
    hardly find anybody but by a copy.
    """
    if len(schema.features) < 2:
        return {"multivariate": {"skipped": "only one column"}}
    members, others, rows = encode_tables([*(df for df, _ in sides), synthetic], schema)
    numeric = np.array([column.is_numeric for column in schema.features])
    drawn = draw_predicates(rows, numeric, 3 * _MAX_QUERIES, rng, guess=False)
    short = drawn.isolate(rows)[:_MAX_QUERIES]
    guesses = draw_predicates(rows, numeric, _MAX_QUERIES, rng, guess=True)
    width = guesses.columns.shape[1]
    cut = guesses.cut(rng.integers(1, width, size=_MAX_QUERIES))
    result = {}
    asked = {"multivariate": (short, cut), f"{width} columns": (drawn[:_MAX_QUERIES], guesses)}
    for name, (queries, random) in track(asked.items(), "predicates on several columns", "width"):
        own, luck = (q.find_hits(members, sides[0][1]) for q in (queries, random))
        other = queries.find_hits(others, sides[1][1])
        result[name] = compare_hits(own, other, luck, _count_people(sides))
    return result


def _count_people(sides: Sides) -> tuple[int, int]:
    return len(np.unique(sides[0][1])), len(np.unique(sides[1][1]))
