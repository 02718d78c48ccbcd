"""Checkpoints over Orbax: asynchronous, atomic, checked by hash, never unpickled."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from synthdiff._files import explain_writing, hash_file, make_folder
from synthdiff.train.state import TrainState

KEEP = 2  # newest states of a run: the one before serves where the last is damaged


def hash_tree(tree: Any) -> str:
    """sha256 over the bytes of every leaf, in tree order."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _flatten(state: TrainState) -> dict[str, np.ndarray]:
    """Copies by path; empty ones, such as of a table without numbers, are no use to Orbax."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {_name(path): np.array(leaf) for path, leaf in leaves if leaf.size}


def _unflatten(arrays: dict[str, np.ndarray], template: TrainState) -> TrainState:
    """Inverse of `_flatten`, on the devices of the template: training compiles once for both."""

    def place(path: tuple, old: jax.Array) -> jax.Array:
        return jax.device_put(arrays.get(_name(path), old), old.sharding)

    return jax.tree_util.tree_map_with_path(place, template)


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


@contextmanager
def _explain_saving(folder: Path) -> Iterator[None]:
    """Turns a full disk into an InputError; TensorStore has it as a ValueError with a number."""
    with explain_writing(folder):
        try:
            yield
        except ValueError as error:
            number = re.search(r"os_error_code='(\d+)'", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def name_run(folder: Path) -> str:
    """sha256 of what decides a run, its settings and codec; the same for every start of it."""
    files = [folder / name for name in ("config.json", "codec.json")]
    return hash_file(*(path for path in files if path.exists()))


class Checkpoints:
    """Training states of one run, newest last; for the first of several processes alone.

    Saving returns at once; a state becomes visible only when it is whole on disk. Restoring checks
    the hash of every leaf and falls back to the state before where the newest is damaged.
    run: names the run; states of another one count as damaged.
    """

    def __init__(self, folder: str | Path, *, run: str = "") -> None:
        logging.getLogger("absl").setLevel(logging.ERROR)
        folder = make_folder(Path(folder).absolute(), private=True)
        self._run = run
        alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEEP, create=False, multiprocessing_options=alone
        )
        self._manager = ocp.CheckpointManager(folder, options=options)

    def save(self, state: TrainState) -> None:
        """Starts writing a copy of the state under its own step; waits only for an earlier write.

        A copy, since the next step of training may take the memory of the state.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        arrays = _flatten(state)
        with _explain_saving(self._manager.directory):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(arrays),
                    check=ocp.args.JsonSave({"sha256": hash_tree(arrays), "run": self._run}),
                ),
            )

    def restore_latest(self, template: TrainState) -> TrainState | None:
        """The newest whole state, or None where there is none; warns of each damaged one."""
        shape = _flatten(template)
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
                if found.check.get("run", self._run) != self._run:
                    raise ValueError("it is of another run")
            except Exception as error:  # Orbax raises many types for a damaged folder
                reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                warnings.warn(
                    f"Checkpoint of step {step} is damaged ({reason}); trying the one before. "
                    f"It is kept in {self._set_aside(step)}.",
                    stacklevel=2,
                )
                continue
            return _unflatten(found.state, template)
        return None

    def _set_aside(self, step: int) -> Path:
        """Moves a damaged state out of the way, so that its step can be written again."""
        folder = Path(self._manager.directory)
        place = folder.with_name(f"{folder.name}_damaged") / str(step)
        make_folder(place.parent, private=True)
        if place.exists():
            shutil.rmtree(place)
        (folder / str(step)).rename(place)
        self._manager.reload()
        return place

    def close(self) -> None:
        """Waits for the last write."""
        with _explain_saving(self._manager.directory):
            self._manager.wait_until_finished()
        self._manager.close()
