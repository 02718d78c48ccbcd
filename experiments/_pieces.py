"""A drawn table in shards, which any number of processes write together."""

import time
from collections.abc import Callable
from pathlib import Path

import jax
from _common import FLAGS

from synthdiff._files import hash_file
from synthdiff.data.shards import (
    PATIENCE_S,
    claim_shards,
    count_shards,
    finish_shards,
    list_missing,
    write_shards,
)
from synthdiff.data.visit_records import PLAN
from synthdiff.run_folder import MODEL_FILES
from synthdiff.train.processes import ask_first, leave

CHOICES = ("num_rows", "sample_seed", "where", "balance", "guidance", "shard_rows")


def hash_model(run_dir: Path) -> str:
    """sha256 of everything that `load` makes rows with."""
    names = [*MODEL_FILES, *([PLAN] if (run_dir / PLAN).exists() else [])]
    return hash_file(*(run_dir / name for name in names))


def write_pieces(run_dir: Path, folder: Path, draw: Callable, num_rows: int) -> None:
    """Every process writes its share of the missing shards; returns when all are there.

    From here on the processes are apart: none waits for one that died.
    """
    settings = {name: FLAGS[name].value for name in CHOICES}
    settings |= {"num_rows": num_rows, "model_sha256": hash_model(run_dir)}
    size = (num_rows, FLAGS.shard_rows)

    def begin() -> list[int]:
        claim_shards(folder, settings)
        return list_missing(folder, *size)

    own = ask_first(begin)[jax.process_index() :: jax.process_count()]
    leave()  # a process that died would end the others, minutes after
    started = time.monotonic()
    written = write_shards(folder, draw, *size, own)
    patience = 3 * (time.monotonic() - started) / max(len(written), 1)
    written += finish_shards(folder, draw, *size, max(patience, PATIENCE_S))
    print(f"{len(written)} of {count_shards(*size)} shards were written here")
