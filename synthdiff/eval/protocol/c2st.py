"""C2ST: can logistic regression tell synthetic rows from real ones?"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import RobustScaler

from synthdiff.eval.protocol.matrix import one_hot_matrix
from synthdiff.eval.protocol.tables import MISSING, Roles

_FOLDS = 3


def _reads_as_numbers(column: pd.Series) -> bool:
    known = column[column != MISSING]
    return bool(len(known)) and bool(pd.to_numeric(known, errors="coerce").notna().all())


def _numbers(train: pd.DataFrame, table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """float64 [n, p]; a missing or unreadable cell is the mean of train."""
    columns = []
    for name in names:
        real, values = (pd.to_numeric(t[name], errors="coerce") for t in (train, table))
        columns.append(values.fillna(real.mean()).fillna(0).to_numpy(float))
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))


def logistic_c2st(train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles) -> float | dict:
    """100 * (1 - mean (2 max(AUC, 1/2) - 1)) over 3 folds; 100 cannot be told apart.

    sdmetrics LogisticDetection: categories one-hot, except those whose levels all read as
    numbers, which stay numbers; robust scaling; L2 logistic regression. The folds are seeded here
    and not there, so the two agree to the noise of the folds. It sees single columns only: a
    table whose columns were shuffled independently scores about 100.
    """
    if min(len(train), len(synthetic)) < 2 * _FOLDS:
        return {"skipped": f"fewer than {2 * _FOLDS} rows on a side"}
    tables = (train, synthetic)
    texts = [name for name in roles.categorical if not _reads_as_numbers(train[name])]
    names = [name for name in roles.names if name not in texts]
    levels = {name: pd.Index(sorted(train[name].unique()), dtype=object) for name in texts}
    numbers = np.concatenate([_numbers(train, table, names) for table in tables])
    both = pd.concat([table[texts] for table in tables], ignore_index=True)
    labels = np.repeat([1, 0], [len(train), len(synthetic)])
    scores = []
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for fit, held_out in folds.split(labels, labels):
        scaled = RobustScaler().fit(numbers[fit]).transform(numbers) if names else numbers
        features = one_hot_matrix(scaled, levels, both)
        with warnings.catch_warnings():  # the reference stops after 100 iterations as well
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression().fit(features[fit], labels[fit])
        auc = roc_auc_score(labels[held_out], model.predict_proba(features[held_out])[:, 1])
        scores.append(max(auc, 0.5) * 2 - 1)
    return 100 * float(1 - np.mean(scores))
