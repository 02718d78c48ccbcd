"""Where a GPU spends its time: the kernels of one call, by kind."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

MOST = 12


def profile(call: Callable[[], object]) -> list[dict]:
    """The longest kinds of kernels of a call, with the rest and the idle time as the last rows.

    Shares are of the time from the first kernel's start to the last one's end, on the first GPU.
    Empty where there is no GPU: a CPU's profile has no kernels.
    """
    if jax.default_backend() != "gpu":
        return []
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(call())
        events = []
        for path in Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                if plane.name == "/device:GPU:0":
                    lines = [line for line in plane.lines if line.name.startswith("Stream")]
                    events += [
                        (event.name, event.start_ns, event.duration_ns)
                        for line in lines
                        for event in line.events
                    ]
    return share_out(events)


def share_out(events: list[tuple[str, float, float]]) -> list[dict]:
    """Rows of (name, start, duration in ns), names alike but for what follows a digit together."""
    if not events:
        return []
    kinds: dict[str, list[float]] = {}
    for name, _, duration in events:
        kinds.setdefault(re.split(r"[\d<(]", name)[0].rstrip("_. "), []).append(duration)
    span = max(start + duration for _, start, duration in events) - min(e[1] for e in events)
    ranked = sorted(kinds.items(), key=lambda kind: -sum(kind[1]))
    rows = [(name, len(spent), sum(spent)) for name, spent in ranked[:MOST]]
    rest = [duration for _, spent in ranked[MOST:] for duration in spent]
    busy = sum(duration for _, _, duration in events)
    rows += [("others", len(rest), sum(rest)), ("idle", 0, max(span - busy, 0.0))]
    return [
        {"kernel": name, "calls": calls, "ms": spent / 1e6, "share": spent / span}
        for name, calls, spent in rows
    ]
