"""Distance to the closest record: are synthetic rows nearer to training rows than to others?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.eval.protocol.distance import encode, nearest_row
from synthdiff.eval.protocol.tables import Roles

_MAX_TIED = 0.95
_ROUNDING = 1e-9


def dcr_share(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles
) -> dict:
    """Percent of synthetic rows that are closer to train than to holdout, and what chance gives.

    L1 over numbers in units of train's range and one-hot categories (a mismatch costs 2).

    chance: 100 n / (n + m) for n training and m holdout rows, exact for rows drawn from the
      population by anyone who knows neither table. It is the literature's 50 where the two are
      equally long, which needs a model trained on half of the data (the `_halves` splits).
    strict: ties count as "not closer", as the literature has it. Where many rows tie, a copy of
      the training table falls below chance and looks private.
    tie_aware: a tie counts as chance has it (one half for equal lengths). Skipped where 95 % of
      the rows tie: such a table is too coarse for distances to tell anything, and a figure at
      chance would be no evidence of privacy.
    tied: percent of rows that tie.
    A share at chance does not prove privacy; see `synthdiff.eval.audit` for attacks.
    """
    members, others, rows = encode(train, [train, holdout, synthetic], roles)
    gap = nearest_row(rows, members, power=1)[0] - nearest_row(rows, others, power=1)[0]
    closer, tied = np.mean(gap < -_ROUNDING), np.mean(np.abs(gap) <= _ROUNDING)
    chance = len(train) / (len(train) + len(holdout))
    aware: float | dict = 100 * float(closer + tied * chance)
    if tied > _MAX_TIED:
        aware = {"skipped": f"{tied:.0%} of the rows tie, so distances cannot show copying"}
    return {
        "strict": 100 * float(closer),
        "tie_aware": aware,
        "tied": 100 * float(tied),
        "chance": 100 * chance,
    }
