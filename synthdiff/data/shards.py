"""A table in a folder of Parquet files, written piece by piece at constant memory.

Each file appears whole under its name or not at all, so a broken job goes on where it stopped.
`read_table` of the folder gives the whole table.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from synthdiff._files import read_json, write_json
from synthdiff._validate import input_error, positive
from synthdiff.data.table import name_shard, write_table

SETTINGS = "shards.json"
PATIENCE_S = 120.0  # without a new shard; a shared folder may show a file a minute late


def count_shards(num_rows: int, shard_rows: int) -> int:
    """How many files hold the rows; all but the last hold `shard_rows`."""
    positive(num_rows=num_rows, shard_rows=shard_rows)
    return -(-num_rows // shard_rows)


def claim_shards(folder: Path, settings: dict) -> None:
    """Makes the folder, or checks that the shards in it were begun with the same settings."""
    begun, wanted = folder / SETTINGS, json.loads(json.dumps(settings))
    if begun.exists():
        found = read_json(begun, "name an empty folder")
        names = sorted(k for k in found | wanted if found.get(k) != wanted.get(k))
        if names:
            raise input_error(
                str(folder),
                f"holds shards with another {', '.join(names)}",
                "name an empty folder, or repeat the same flags to go on",
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise input_error(str(folder), "is not empty and holds no shards", "name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(begun, wanted)


def list_missing(folder: Path, num_rows: int, shard_rows: int) -> list[int]:
    """The numbers of the shards that are not there yet."""
    total = count_shards(num_rows, shard_rows)
    there = {path.name for path in folder.iterdir()}
    return [number for number in range(total) if name_shard(number, total) not in there]


def write_shards(
    folder: Path,
    draw: Callable[[int, int], pd.DataFrame],
    num_rows: int,
    shard_rows: int,
    which: Iterable[int],
) -> list[int]:
    """Writes the shards numbered `which` of a table whose rows `draw(first, count)` gives.

    Shards that are there already are left alone; returns the numbers of those that were written.
    """
    total, written = count_shards(num_rows, shard_rows), []
    for number in which:
        path = folder / name_shard(number, total)
        if path.exists():
            continue
        first = number * shard_rows
        table = draw(first, min(shard_rows, num_rows - first))
        write_table(table, path)
        written.append(number)
    return written


def finish_shards(
    folder: Path,
    draw: Callable[[int, int], pd.DataFrame],
    num_rows: int,
    shard_rows: int,
    patience: float,
    every: float = 1.0,
) -> list[int]:
    """Returns when all shards are there; the numbers of those that this process had to write.

    Others take as long as they like, but whoever has written nothing for `patience` seconds may be
    dead: what is missing then is written here, in any order, as others may do so as well. Should it
    be alive after all, the same shard is drawn twice, and each file is whole whoever writes it.
    """
    missing: list[int] = []
    since = time.monotonic()
    while (now := list_missing(folder, num_rows, shard_rows)) and (
        now != missing or time.monotonic() - since < patience
    ):
        if now != missing:
            missing, since = now, time.monotonic()
        time.sleep(every)
    return write_shards(folder, draw, num_rows, shard_rows, random.sample(now, len(now)))
