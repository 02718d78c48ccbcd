"""The static shape of an encoded record: the one contract between data, diffusion and models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np


class Records(NamedTuple):
    """Encoded records, or one batch of them: the pytree every stage passes on.

    continuous: float32 [n, num_continuous], roughly standard normal.
    categorical: integers [n, num_categorical]; part j holds 0..K_j-1, and K_j means "masked".
    """

    continuous: Any
    categorical: Any


class Bucket(NamedTuple):
    """Categorical parts start..stop-1, all padded to `width` categories."""

    start: int
    stop: int
    width: int


def bucket_width(cardinality: int) -> int:
    """The padded width of a part: 2, 4, 8, 16, ... so that few shapes serve all columns.

    >>> [bucket_width(cardinality) for cardinality in (1, 3, 4, 5, 100)]
    [2, 4, 4, 8, 128]
    """
    return max(2, 1 << (cardinality - 1).bit_length())


@dataclass(frozen=True)
class Layout:
    """Which parts a record has, and which column (token) each part belongs to.

    tokens: one name per token; a table column is one token, a code of a code set is one token.
    continuous_token: the token of each continuous part.
    categorical_token: the token of each categorical part.
    cardinalities: K_j of each categorical part; parts are ordered by `bucket_width(K_j)`.
    gate: for each continuous part, the categorical part that says whether there is a value, or -1
      where it always holds.
    num_bins: categories 0..num_bins-1 of the gate say that the value is in the continuous part, any
      other category replaces it.
    ranks: for each categorical part, where its first categories stand in their order, from 0 to 1;
      empty where they have none, as the whole is if no part has.
    turns: each categorical part's place, from 0, among those that a sampler shows one after the
      other (`data/turns.py`); empty for an order by chance.
    """

    tokens: tuple[str, ...]
    continuous_token: tuple[int, ...]
    categorical_token: tuple[int, ...]
    cardinalities: tuple[int, ...]
    gate: tuple[int, ...]
    num_bins: tuple[int, ...]
    ranks: tuple[tuple[float, ...], ...] = ()
    turns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        widths = [bucket_width(k) for k in self.cardinalities]
        if widths != sorted(widths):
            raise ValueError("Layout: categorical parts must be ordered by bucket_width.")
        if not len(self.gate) == len(self.num_bins) == len(self.continuous_token):
            raise ValueError("Layout: gate and num_bins need one entry per continuous part.")
        if len(self.cardinalities) != len(self.categorical_token):
            raise ValueError("Layout: cardinalities needs one entry per categorical part.")
        if self.ranks and len(self.ranks) != len(self.cardinalities):
            raise ValueError("Layout: ranks needs one entry per categorical part.")
        if self.turns and sorted(self.turns) != list(range(len(self.cardinalities))):
            raise ValueError("Layout: turns needs each place once.")

    @property
    def num_continuous(self) -> int:
        return len(self.continuous_token)

    @property
    def num_categorical(self) -> int:
        return len(self.categorical_token)

    @property
    def code_dtype(self) -> np.dtype:
        """The smallest signed integers that hold the codes of every part, "masked" included."""
        return np.min_scalar_type(-max(self.cardinalities, default=1) - 1)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Token name of every part, continuous parts first: what a NaN guard prints."""
        return tuple(self.tokens[i] for i in self.continuous_token + self.categorical_token)

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Runs of categorical parts with the same padded width, in order."""
        found: list[Bucket] = []
        for j, cardinality in enumerate(self.cardinalities):
            width = bucket_width(cardinality)
            if found and found[-1].width == width:
                found[-1] = found[-1]._replace(stop=j + 1)
            else:
                found.append(Bucket(j, j + 1, width))
        return tuple(found)
