"""Trend error: how far the dependence in each pair of columns is off."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from synthdiff.eval.fidelity import contingency_score
from synthdiff.eval.protocol.tables import Roles, joint_codes

_BINS = 10


def _cut(values: np.ndarray) -> np.ndarray:
    """Bins 1 to 10 of equal width over the table's own range; its maximum and missing are 11."""
    known = values[~np.isnan(values)]
    return np.digitize(values, np.histogram_bin_edges(known, _BINS))


def _correlations(table: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """Pearson correlations over the rows that have both; NaN where a column is constant."""
    values = table[list(names)]
    matrix = values.corr().to_numpy(copy=True)
    constant = (values.nunique() <= 1).to_numpy()
    matrix[constant, :] = matrix[:, constant] = np.nan
    return matrix


def trend_scores(
    train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles
) -> dict[tuple[str, str], float | None]:
    """Score of each pair in 0..1: sdmetrics 0.18.0 CorrelationSimilarity, ContingencySimilarity.

    Two numbers: 1 - |difference of Pearson correlations| / 2, None where one is constant. Else
    1 - total variation distance of the contingency tables, a missing category being a level.
    Numbers are cut in 10 equal-width bins whose edges are fitted to EACH TABLE BY ITSELF, so a
    synthetic table that misses the real extremes of a long tail is cut elsewhere and pays for it
    (`synthdiff.eval.fidelity` cuts both by the real edges). All rows and all pairs count, as when
    TabSyn and TabDiff were published. Later releases score something else: from 0.19 on they draw
    50,000 rows at random where a table is longer, and from 0.27 on QualityReport averages only
    over pairs whose real correlation is above 0.5 or Cramer's V above 0.3.
    """
    tables = (train, synthetic)
    coded = {name: joint_codes(list(tables), name) for name in roles.categorical}
    for name in roles.numeric:
        coded[name] = [_cut(table[name].to_numpy(float)) for table in tables], _BINS + 2
    correlations = [_correlations(table, roles.numeric) for table in tables]
    place = {name: i for i, name in enumerate(roles.numeric)}
    scores: dict[tuple[str, str], float | None] = {}
    for a, b in combinations(roles.names, 2):
        if a in place and b in place:
            real, other = (matrix[place[a], place[b]] for matrix in correlations)
            gap = abs(real - other)
            scores[a, b] = None if np.isnan(gap) else float(1 - gap / 2)
        else:
            scores[a, b] = contingency_score(*coded[a], *coded[b])
    return scores


def trend_error(train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles) -> float | dict:
    """100 * (1 - mean pair score), 0 is best. Pairs with a constant number are left out."""
    scores = trend_scores(train, synthetic, roles).values()
    known = [score for score in scores if score is not None]
    if not known:
        return {"skipped": "no pair of columns is comparable"}
    return 100 * (1 - float(np.mean(known)))
