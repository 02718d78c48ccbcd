"""A space of records and what it is good for: attacks on a table, its measures, search."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import ATTACKS, View
from synthdiff.eval.features import Featurizer
from synthdiff.eval.game import rows_of, set_up_game
from synthdiff.eval.membership import score_attack
from synthdiff.eval.neighbours import nearest
from synthdiff.eval.protocol.distance import Mixed
from synthdiff.eval.protocol.precision_recall import alpha_precision_beta_recall, compare_places
from synthdiff.eval.protocol.tables import Roles, prepare
from synthdiff.eval.statistics import auc_interval, tpr_at_fpr
from synthdiff.synthesizer import Synthesizer

MEASURED = ("distance", "calibrated_distance", "likelihood_influence")
COLUMNS_CHANGED, FOUND_AMONG, QUERIES = (1, 3), 10, 1000


class Space(NamedTuple):
    """place: the rows of a table as vectors [n, d]. compare: alpha-precision and beta-recall of a
    table (second) beside another, as long, of real rows."""

    place: Callable[[pd.DataFrame], np.ndarray]
    compare: Callable[[pd.DataFrame, pd.DataFrame], dict[str, float]]


def make_columns_space(reference: pd.DataFrame, schema: Schema) -> Space:
    """One-hot categories and numbers, as audit and protocol have them."""
    roles = Roles.from_schema(schema)

    def compare(real: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
        return alpha_precision_beta_recall(prepare(real, schema), prepare(other, schema), roles)

    return Space(Featurizer.fit(reference, schema).transform, compare)


def make_network_space(model: Synthesizer) -> Space:
    """The model's embeddings, as they are."""

    def compare(real: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
        vectors = [model.embed(table).astype(float) for table in (real, other)]
        return compare_places(*(Mixed(x, np.empty((len(x), 0), np.int32)) for x in vectors))

    return Space(model.embed, compare)


def score_attacks(space: Space, parts: dict, schema: Schema, seed: int) -> dict[str, float]:
    """AUC and TPR by patient of attacks that see the synthetic table in this space."""
    game = set_up_game(parts, schema, np.random.default_rng([seed, 5]))
    sides = {"train": game.members, "test": game.nonmembers}
    targets = pd.concat([rows_of(parts[p], side, schema, p) for p, side in sides.items()])
    view = View(*(space.place(t) for t in (targets, parts["synthetic"], parts["reference"])))
    scores = {}
    for name in MEASURED:
        found = score_attack(ATTACKS[name], game.members, game.nonmembers, view)
        scores[f"{name} AUC"] = auc_interval(*found.ranked)["value"]
        scores[f"{name} TPR at 1% FPR"] = tpr_at_fpr(*found.raw)
    return scores


def score_measures(space: Space, parts: dict, seed: int, num_rows: int) -> dict[str, float]:
    """Alpha-precision and beta-recall beside training rows: of others, of the synthetic table, and
    of training rows whose columns are shuffled apart."""
    rng, train = np.random.default_rng([seed, 6]), parts["train"]
    size = min(num_rows, *map(len, parts.values()))

    def take(table: pd.DataFrame) -> pd.DataFrame:
        rows = rng.choice(len(table), size, replace=False)
        return table.iloc[rows].reset_index(drop=True)

    apart = pd.DataFrame({name: rng.permutation(train[name]) for name in train}).astype(
        train.dtypes
    )
    tables = {"real": parts["test"], "synthetic": parts["synthetic"], "shuffled": apart}
    real, scores = take(train), {}
    for name, table in tables.items():
        found = space.compare(real, take(table))
        scores |= {f"{measure}, {name}": value for measure, value in found.items()}
    return scores


def score_search(space: Space, parts: dict, schema: Schema, seed: int) -> dict[str, float]:
    """Of training rows, with a few cells changed and laid among the synthetic ones, the share that
    the unchanged row finds first, and among its nearest ten."""
    rng, scores = np.random.default_rng([seed, 7]), {}
    size = min(QUERIES, len(parts["train"]))
    rows = parts["train"].iloc[rng.choice(len(parts["train"]), size, replace=False)]
    rows = rows.reset_index(drop=True)
    for count in COLUMNS_CHANGED:
        copies = change_cells(rows, schema, count, rng)
        base = pd.concat([copies, parts["synthetic"]], ignore_index=True)
        ids = nearest(space.place(rows), space.place(base), FOUND_AMONG)[1]
        hit = ids == np.arange(size)[:, None]
        scores[f"{count} changed, found first"] = float(hit[:, 0].mean())
        scores[f"{count} changed, found in ten"] = float(hit.any(axis=1).mean())
    return scores


def change_cells(
    rows: pd.DataFrame, schema: Schema, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The rows, `count` columns of each with another value, that of a random other row."""
    names, changed = [column.name for column in schema.features], rows.copy()
    chosen = rng.random((len(rows), len(names))).argsort(axis=1) < count
    for at, name in enumerate(names):
        codes = pd.factorize(rows[name])[0]
        donors = rng.integers(len(rows), size=(len(rows), 100))
        first = (codes[donors] != codes[:, None]).argmax(axis=1)
        values = rows[name].to_numpy()[donors[np.arange(len(rows)), first]]
        changed.loc[chosen[:, at], name] = values[chosen[:, at]]
    return changed
