"""Alpha-precision and beta-recall: do synthetic rows lie where real ones do, and everywhere?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.eval.protocol.distance import Mixed, encode, nearest_row
from synthdiff.eval.protocol.tables import Roles, cut_to_equal

_MIN_ROWS = 20
_LEVELS = np.linspace(0, 1, 30)


def _from_centre(rows: Mixed, centre: Mixed) -> np.ndarray:
    """Euclidean distance of one-hot rows to the mean of the centre's one-hot rows. [n]"""
    total = np.square(rows.numbers - centre.numbers.mean(axis=0)).sum(axis=1)
    for codes, other in zip(rows.codes.T, centre.codes.T, strict=True):
        levels = max(codes.max(), other.max()) + 1
        shares = np.bincount(other, minlength=levels) / len(other)
        total += 1 - 2 * shares[codes] + np.square(shares).sum()
    return np.sqrt(np.maximum(total, 0))


def _agreement(curve: np.ndarray) -> float:
    """100 * (1 - sum |a - curve(a)| / sum a) over 30 levels a from 0 to 1."""
    return 100 * float(1 - np.abs(_LEVELS - curve).sum() / _LEVELS.sum())


def alpha_precision_beta_recall(train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles) -> dict:
    """Both in percent, higher is better: Alaa et al., ICML 2022 (arXiv 2102.08921).

    The "naive" variant of synthcity 0.2.12, which TabSyn and TabDiff report: one-hot categories
    (target included) and numbers scaled to 0..1 by train. Precision at level a is the share of
    synthetic rows inside the ball around the real mean that holds a share a of the real rows.
    Recall at a is the share of real rows that have a synthetic row as near as their nearest
    other real row, that synthetic row being among the innermost a. Both tables are cut to equal
    length. A fresh real sample reaches a recall of about 50, not 100; values well above it mean
    that rows sit closer to real ones than real ones do, so a copy scores best.
    """
    if min(len(train), len(synthetic)) < _MIN_ROWS:
        skipped = {"skipped": f"fewer than {_MIN_ROWS} rows on a side"}
        return {"alpha_precision": skipped, "beta_recall": skipped}
    train, synthetic = cut_to_equal(train, synthetic, seed=0)
    return compare_places(*encode(train, [train, synthetic], roles))


def compare_places(real: Mixed, other: Mixed) -> dict[str, float]:
    """The same of two equally long tables in any space, such as that of a network."""
    radii = np.quantile(_from_centre(real, real), _LEVELS)
    precision = np.searchsorted(np.sort(_from_centre(other, real)), radii, "right") / len(other)

    to_real = nearest_row(real, real, power=2, same=True)[0]
    to_other, index = nearest_row(real, other, power=2)
    depth = _from_centre(other, other)[index]
    covered = to_other <= to_real
    recall = [np.mean(covered & (depth <= radius)) for radius in np.quantile(depth, _LEVELS)]
    return {
        "alpha_precision": _agreement(precision),
        "beta_recall": _agreement(np.array(recall)),
    }
