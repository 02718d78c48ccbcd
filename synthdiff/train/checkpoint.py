"""Checkpoints over Orbax: asynchronous, atomic, checked by hash, never unpickled."""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from synthdiff.train.state import TrainState


def hash_tree(tree) -> str:
    """sha256 over the bytes of every leaf, in tree order."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _place_like(array: np.ndarray, template: jax.Array) -> jax.Array:
    return jax.device_put(array, template.sharding)


class Checkpoints:
    """Training states of one run, newest last.

    Saving returns at once; a state becomes visible only when it is whole on disk. Restoring checks
    the hash of every leaf and falls back to the state before where the newest is damaged.
    """

    def __init__(self, folder: str | Path, *, keep: int = 2) -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    def save(self, state: TrainState) -> None:
        """Starts writing the state under its own step; waits only for an earlier write."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        state = jax.tree.map(np.asarray, state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                check=ocp.args.JsonSave({"sha256": hash_tree(state)}),
            ),
        )

    def restore_latest(self, template: TrainState) -> TrainState | None:
        """The newest whole state, or None where there is none; warns of each damaged one."""
        shape = jax.tree.map(np.asarray, template)
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(shape), check=ocp.args.JsonRestore()
                    ),
                )
                if hash_tree(found.state) != found.check["sha256"]:
                    raise ValueError("the arrays do not match their hash")
            except Exception as error:  # Orbax raises many types for a damaged folder
                reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                warnings.warn(
                    f"Checkpoint of step {step} is damaged ({reason}); trying the one before.",
                    stacklevel=2,
                )
                self._manager.delete(step)
                continue
            return jax.tree.map(_place_like, found.state, template)
        return None

    def close(self) -> None:
        """Waits for the last write."""
        self._manager.wait_until_finished()
        self._manager.close()
