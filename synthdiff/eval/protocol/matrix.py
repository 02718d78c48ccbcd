"""The one-hot matrix that linear models and boosted trees of the protocol read."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse


def one_hot_matrix(
    numbers: np.ndarray, levels: dict[str, pd.Index], table: pd.DataFrame
) -> sparse.csr_matrix:
    """CSR [n, p + levels]: the numbers first, zeros stored, then one column per known level.

    A level that is not in `levels` is all zeros. Zeros among the numbers stay explicit because
    XGBoost reads an absent entry as missing.
    """
    rows, width = numbers.shape
    columns, data = [np.tile(np.arange(width), (rows, 1))], [numbers]
    for name, index in levels.items():
        codes = index.get_indexer(table[name].to_numpy(object))
        columns.append(np.where(codes < 0, -1, codes + width)[:, None])
        data.append(np.ones((rows, 1)))
        width += len(index)
    column, value = np.hstack(columns), np.hstack(data)
    known = column >= 0
    starts = np.append(0, np.cumsum(known.sum(axis=1)))
    return sparse.csr_matrix((value[known], column[known], starts), shape=(rows, width))
