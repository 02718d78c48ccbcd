"""How far along something is: a bar on a terminal for what takes over 5 seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterable[T]:
    """The items one by one, with what is done of `total` and the time that is left on stderr.

    Nothing is shown within the first 5 seconds, nor where stderr is no terminal. total: number of
    items, where they have no length.
    """
    return tqdm(items, what, total=total, unit=unit, delay=5.0, leave=False, disable=None)
