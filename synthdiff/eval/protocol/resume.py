"""Scoring one table after the other, each kept on disk, so that a stopped benchmark goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from synthdiff._files import make_folder, read_json, write_json
from synthdiff._validate import input_error
from synthdiff.eval.protocol.score import Scores

Draw = Callable[[int], pd.DataFrame]


def score_draws(
    path: Path,
    settings: dict,
    count: int,
    prepare_draw: Callable[[], Draw],
    score: Callable[[pd.DataFrame], Scores],
) -> dict:
    """Scores tables 0 to count - 1 of one method and seed; those in `path` are not done again.

    Args:
      path: JSON file, rewritten after every table.
      settings: everything that decides the scores; a file begun with others raises InputError.
      prepare_draw: trains the method, called only if a table is left to do; gives `draw(index)`.
      score: turns a drawn table into scores.

    Returns:
      {"settings", "seconds": of train, sample and score, "samples": scores of each table}.
    """
    seconds = dict.fromkeys(("train", "sample", "score"), 0.0)
    state: dict[str, Any] = {"settings": settings, "seconds": seconds, "samples": []}
    if path.exists():
        state = read_json(path, "remove the file to score all tables again")
        if state["settings"] != json.loads(json.dumps(settings)):
            raise input_error(str(path), "was begun with other flags", "name another folder")
    draw = None
    for index in range(len(state["samples"]), count):
        clock = [time.perf_counter()]
        draw = draw or prepare_draw()
        clock.append(time.perf_counter())
        table = draw(index)
        clock.append(time.perf_counter())
        state["samples"].append(score(table))
        clock.append(time.perf_counter())
        for stage, start, end in zip(state["seconds"], clock, clock[1:], strict=False):
            state["seconds"][stage] = round(state["seconds"][stage] + end - start, 2)
        make_folder(path.parent)
        write_json(path, state)
    return state | {"samples": state["samples"][:count]}
