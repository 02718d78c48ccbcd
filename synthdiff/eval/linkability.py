"""Linkability (WP29): does the synthetic table help to join two files about the same people?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff._progress import track
from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer
from synthdiff.eval.neighbours import nearest


def split_columns(schema: Schema) -> tuple[list[str], list[str]]:
    """The columns of the attacker's two files: every other one, so that both halves tell much."""
    names = [column.name for column in schema.features]
    return names[::2], names[1::2]


def find_links(
    targets: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
) -> np.ndarray:
    """Whether one synthetic row is the nearest to both halves of a target. bool [n]

    The attacker holds half the columns of everybody in one file and the other half in another, and
    joins two records that are nearest to the same synthetic row. Equally near rows are taken in
    random order, drawn for each half anew: one order for both would join ties for nothing. Two
    random rows would be the same one time in as many as there are.
    """
    found = []
    for names in track(split_columns(schema), "records linked", "file"):
        encode = Featurizer.fit(synthetic, schema, exclude=names).transform
        order = rng.permutation(len(synthetic))
        found.append(order[nearest(encode(targets), encode(synthetic)[order], 1)[1][:, 0]])
    return found[0] == found[1]
