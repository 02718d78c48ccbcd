"""Linkability (WP29): does the synthetic table help to join two files about the same people?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer
from synthdiff.eval.neighbours import nearest


def chance_of_link(rows: int, k: int) -> float:
    """P(two random sets of k out of `rows` rows intersect): the rate of guessing."""
    return float(1 - hypergeom.pmf(0, rows, k, k))


def split_columns(schema: Schema) -> tuple[list[str], list[str]]:
    """The columns of the attacker's two files: every other one, so that both halves tell much."""
    names = [column.name for column in schema.features]
    return names[::2], names[1::2]


def find_links(
    targets: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
    *,
    k: int = 1,
) -> np.ndarray:
    """Whether the k synthetic rows nearest to both halves of a target have one in common. bool [n]

    The attacker holds half the columns of everybody in one file and the other half in another, and
    joins two records that are nearest to the same synthetic row. Equally near rows are taken in
    random order, drawn for each half anew: one order for both would join ties for nothing.
    """
    found = []
    for names in split_columns(schema):
        encode = Featurizer.fit(synthetic, schema, exclude=names).transform
        order = rng.permutation(len(synthetic))
        found.append(order[nearest(encode(targets), encode(synthetic)[order], k)[1]])
    return (found[0][:, :, None] == found[1][:, None, :]).any(axis=(1, 2))
