"""Which rows make up which batch: a pure function of (seed, step), so nothing needs saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd


def permute_patients(
    patients: np.ndarray | None, num_rows: int, seed: int, epoch: int
) -> np.ndarray:
    """Row positions of one epoch: patients in random order, each patient's rows side by side.

    patients: number of each row's patient, from 0 in order of appearance; None: a row is one.
    """
    rng = np.random.default_rng([seed, epoch])
    if patients is None:
        return rng.permutation(num_rows)
    return np.argsort(rng.permutation(patients.max() + 1)[patients], kind="stable")


def make_batches(
    entity_ids: np.ndarray | None, num_rows: int, batch_size: int, seed: int
) -> Callable[[int, int], np.ndarray]:
    """Builds `rows_of(first_step, num_steps)`: the rows of batches, int32 [num_steps, batch_size].

    Epochs follow one another without a gap, so batches may cross from one into the next and may be
    larger than the table; every row is used once per epoch. The last epochs are kept: to permute a
    large table takes longer than a device takes for many steps.
    """
    patients = None if entity_ids is None else pd.factorize(np.asarray(entity_ids))[0]

    @lru_cache(maxsize=2)
    def permute(epoch: int) -> np.ndarray:
        return permute_patients(patients, num_rows, seed, epoch).astype(np.int32)

    def rows_of(first_step: int, num_steps: int) -> np.ndarray:
        start, stop = first_step * batch_size, (first_step + num_steps) * batch_size
        epochs = range(start // num_rows, -(-stop // num_rows))
        pieces = [permute(e)[max(0, start - e * num_rows) : stop - e * num_rows] for e in epochs]
        return np.concatenate(pieces).reshape(num_steps, batch_size)

    return rows_of


def poisson_batches(
    num_patients: int,
    rate: float,
    capacity: int,
    seed: Sequence[int],
    first_step: int,
    num_steps: int,
) -> np.ndarray:
    """Patients of `num_steps` Poisson samples: int32 [num_steps, capacity], padded with -1.

    Each patient is in each step's sample with chance `rate`, independently of all else, which is
    what the accounting assumes. A sample larger than the capacity loses its last patients.
    """
    rows = np.full((num_steps, capacity), -1, np.int32)
    for i in range(num_steps):
        rng = np.random.default_rng([*seed, first_step + i])
        chosen = np.flatnonzero(rng.random(num_patients) < rate)[:capacity]
        rows[i, : len(chosen)] = chosen
    return rows


def make_roster(patients: np.ndarray, max_rows: int) -> np.ndarray:
    """Row positions of each patient (numbered from 0): int32 [patients, max_rows], padded by -1.

    >>> make_roster(np.array([0, 1, 0]), 2).tolist()
    [[0, 2], [1, -1]]
    """
    place = pd.Series(patients).groupby(patients).cumcount().to_numpy()
    roster = np.full((patients.max() + 1, max_rows), -1, np.int32)
    roster[patients, place] = np.arange(len(patients))
    return roster


def fill_roster(column: np.ndarray, roster: np.ndarray) -> np.ndarray:
    """The rows of each patient, [patients, max_rows, ...], zeros where the roster has -1.

    >>> fill_roster(np.array([5, 6, 7]), np.array([[0, 2], [1, -1]])).tolist()
    [[5, 7], [6, 0]]
    """
    found = column[roster]
    found[roster < 0] = 0
    return found
