"""Which rows make up which batch: a pure function of (seed, step), so nothing needs saving."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def permute_patients(
    entity_ids: np.ndarray | None, num_rows: int, seed: int, epoch: int
) -> np.ndarray:
    """Row positions of one epoch: patients in random order, each patient's rows side by side."""
    rng = np.random.default_rng([seed, epoch])
    if entity_ids is None:
        return rng.permutation(num_rows)
    patient = pd.factorize(np.asarray(entity_ids))[0]
    return np.argsort(rng.permutation(patient.max() + 1)[patient], kind="stable")


def batch_indices(
    entity_ids: np.ndarray | None,
    num_rows: int,
    batch_size: int,
    seed: int,
    first_step: int,
    num_steps: int,
) -> np.ndarray:
    """Rows of `num_steps` batches from `first_step` on: int32 [num_steps, batch_size].

    Epochs follow one another without a gap, so batches may cross from one into the next and may be
    larger than the table; every row is used once per epoch.
    """
    start, stop = first_step * batch_size, (first_step + num_steps) * batch_size
    epochs = range(start // num_rows, -(-stop // num_rows))
    stream = np.concatenate([permute_patients(entity_ids, num_rows, seed, e) for e in epochs])
    offset = start - epochs[0] * num_rows
    rows = stream[offset : offset + stop - start]
    return rows.astype(np.int32).reshape(num_steps, batch_size)


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
