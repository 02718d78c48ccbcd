"""A drawn table in shards, which any number of processes write together."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import jax
from _common import FLAGS

from synthdiff.data.shards import (
    await_shards,
    claim_shards,
    count_shards,
    list_missing,
    write_shards,
)
from synthdiff.data.visit_records import PLAN
from synthdiff.run_folder import MODEL_FILES
from synthdiff.train.processes import ask_first

CHOICES = ("num_rows", "sample_seed", "where", "balance", "guidance", "shard_rows")


def hash_model(run_dir: Path) -> str:
    """sha256 of everything that `load` makes rows with."""
    names = [*MODEL_FILES, *([PLAN] if (run_dir / PLAN).exists() else [])]
    content = b"".join((run_dir / name).read_bytes() for name in names)
    return hashlib.sha256(content).hexdigest()


def write_pieces(run_dir: Path, folder: Path, draw: Callable, num_rows: int) -> None:
    """Every process writes its share of the missing shards; returns when all are there."""
    settings = {name: FLAGS[name].value for name in CHOICES}
    settings |= {"num_rows": num_rows, "model_sha256": hash_model(run_dir)}
    size = (num_rows, FLAGS.shard_rows)

    def begin() -> list[int]:
        claim_shards(folder, settings)
        return list_missing(folder, *size)

    own = ask_first(begin)[jax.process_index() :: jax.process_count()]
    written = write_shards(folder, draw, *size, own)
    print(f"{len(written)} of {count_shards(*size)} shards were missing")
    # An early end of one process would end the others. They have hours, and a collective minutes.
    await_shards(folder, *size)
    ask_first(lambda: None)
