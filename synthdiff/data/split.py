"""Train, test and holdout parts that never share a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.table import as_text


def split_by_entity(
    entity_ids: Sequence | np.ndarray | pd.Series | None,
    num_rows: int,
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, np.ndarray]:
    """Splits the rows into named parts, all rows of an entity in the same part.

    Entities are ranked by a keyed hash of their id and the ranking is cut at the fractions, so
    an entity's part depends on `seed` and on the set of ids, never on the order of the rows. The
    hash reads the id as text, so 17, "17" and 17.0 are one patient.

    Args:
      entity_ids: one id per row; None makes each row (its position) an entity of its own.
      num_rows: rows of the table.
      fractions: share of the entities per part, in order; rows of no part are left out if the sum
        is below 1. Sizes are exact to within one entity.
      seed: another seed gives another split.

    Returns:
      Ascending int64 row positions per part.

    Raises:
      InputError: missing ids, wrong length, fractions outside (0, 1], a sum above 1, or so few
        entities that a part would be empty.

    >>> parts = split_by_entity(["a", "a", "b", "c"], 4, {"train": 0.67, "test": 0.33}, seed=0)
    >>> {name: rows.tolist() for name, rows in parts.items()}
    {'train': [0, 1, 3], 'test': [2]}
    """
    if not fractions:
        raise input_error("fractions", "no part named", 'pass e.g. {"train": 0.8, "test": 0.2}')
    for name, fraction in fractions.items():
        if not 0 < fraction <= 1:
            raise input_error(f"fraction {name!r}", f"{fraction!r} is not in (0, 1]", "change it")
    total = sum(fractions.values())
    if total > 1 + 1e-9:
        raise input_error("fractions", f"they sum to {total:g}", "make them sum to at most 1")
    owner, ids = _entities(entity_ids, num_rows)
    digests = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest() for name in ids]
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(ids)), key=digests.__getitem__)] = np.arange(len(ids))
    # Rounding the cumulative ends keeps every part within one entity of its share.
    ends = np.rint(np.cumsum(list(fractions.values())) * len(ids)).astype(np.int64)
    parts = {}
    for name, start, stop in zip(fractions, [0, *ends[:-1]], ends, strict=True):
        if start == stop:
            problem = f"would be empty with only {len(ids)} entities"
            raise input_error(f"part {name!r}", problem, "use more data or a larger fraction")
        parts[name] = np.flatnonzero((rank[owner] >= start) & (rank[owner] < stop))
    return parts


def split_frame(
    df: pd.DataFrame, entity: str | None, fractions: Mapping[str, float], seed: int
) -> dict[str, pd.DataFrame]:
    """The parts of `split_by_entity` as tables with a fresh index.

    entity: the column that names the patient; None makes each row one of its own.
    """
    rows = split_by_entity(df[entity].to_numpy() if entity else None, len(df), fractions, seed)
    return {name: df.iloc[places].reset_index(drop=True) for name, places in rows.items()}


def _entities(entity_ids: object, num_rows: int) -> tuple[np.ndarray, Sequence]:
    """Each row's entity number, and the entities' ids."""
    if entity_ids is None:
        return np.arange(num_rows), range(num_rows)
    ids = as_text(pd.Series(entity_ids).reset_index(drop=True))
    if len(ids) != num_rows:
        problem = f"{len(ids)} ids for {num_rows} rows"
        raise input_error("entity ids", problem, "pass one id per row")
    missing = ids.isna() | (ids == "")
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise input_error("entity ids", f"missing at row {row}", "drop or fill those rows")
    return pd.factorize(ids)
