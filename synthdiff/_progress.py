"""How far along something is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from time import monotonic
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_S = 20.0  # between two lines where nobody sees a bar, as in the log of a cluster's job


def track(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterable[T]:
    """The items one by one, with what is done of `total` and the time that is left on stderr.

    Nothing is shown within the first 5 seconds, or 20 where stderr is no terminal. total: number of
    items, where they have no length.
    """
    if sys.stderr.isatty():
        return tqdm(items, what, total=total, unit=unit, delay=5.0, leave=False)
    return _say(items, what, unit, len(items) if isinstance(items, Sized) else total)


def _say(items: Iterable[T], what: str, unit: str, total: int | None) -> Iterator[T]:
    """The items, with a line before one where the last line is long ago."""
    started = said = monotonic()
    for done, item in enumerate(items):
        now = monotonic()
        if done and now - said >= LINE_S:
            said = now
            left = tqdm.format_interval((now - started) / done * ((total or done) - done))
            count = (
                f"{done} {unit}s" if total is None else f"{done} of {total} {unit}s, {left} left"
            )
            print(f"{what}: {count}", file=sys.stderr, flush=True)
        yield item
