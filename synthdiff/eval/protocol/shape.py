"""Shape error: how far the distribution of each single column is off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.eval.fidelity import ks_score, tvd_score
from synthdiff.eval.protocol.tables import MISSING, Roles, joint_codes

_DECIMALS = 14  # sdmetrics rounds to these before it compares numbers


def shape_scores(
    train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles
) -> dict[str, float | None]:
    """Score of each column in 0..1: sdmetrics 0.18.0 KSComplement or TVComplement.

    1 - Kolmogorov-Smirnov distance for numbers, 1 - total variation for categories, over all
    rows. As in sdmetrics, missing cells are dropped first, so a wrong share of them goes
    unseen here (the Trend counts it). None where a table holds no value at all.
    """
    scores: dict[str, float | None] = {}
    for name in roles.numeric:
        values = [table[name].to_numpy(float) for table in (train, synthetic)]
        values = [np.round(v[~np.isnan(v)], _DECIMALS) for v in values]
        scores[name] = ks_score(*values) if all(map(len, values)) else None
    for name in roles.categorical:
        known = [table[table[name] != MISSING] for table in (train, synthetic)]
        if not all(map(len, known)):
            scores[name] = None
            continue
        codes, levels = joint_codes(known, name)
        scores[name] = tvd_score(codes[0], codes[1], levels)
    return scores


def shape_error(train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles) -> float | dict:
    """100 * (1 - mean column score), 0 is best; the target counts as a column."""
    known = [score for score in shape_scores(train, synthetic, roles).values() if score is not None]
    if not known:
        return {"skipped": "no column has a value in both tables"}
    return 100 * (1 - float(np.mean(known)))
