"""Several processes of one run: the first alone reads and writes files, the others are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from synthdiff._validate import InputError, input_error
from synthdiff.train.checkpoint import hash_tree

T = TypeVar("T")


def is_first() -> bool:
    """Whether this is the process that reads and writes the run's files, or the only one."""
    return jax.process_index() == 0


def are_joined() -> bool:
    """Whether this process has others, which must all come to whatever they do together."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def leave() -> None:
    """Parts from the others once all have come here; nobody's end is then another's.

    What this process does from here on it does with its own devices.
    """
    if are_joined():
        jax.distributed.shutdown()


def ask_first(question: Callable[[], T]) -> T:
    """Calls `question()` in the first process; every process gets the answer, as JSON carries it.

    All processes must come here, so this is also where they wait for one another. What it raises
    in the first process ends all of them: the others raise InputError with the same words.
    """
    if not are_joined():
        return question()
    answer: dict[str, object] = {}
    failure = None
    if is_first():
        try:
            answer = {"value": question()}
        except Exception as error:
            answer, failure = {"error": str(error)}, error
    told = json.loads(_broadcast_bytes(json.dumps(answer).encode()))
    if failure:
        raise failure
    if "error" in told:
        raise InputError(told["error"])
    return told["value"]


def share_first(tree: T) -> T:
    """A pytree of arrays as the first process has it, bit by bit; shapes are the same in all.

    The arrays stay on the devices where each process has its own.
    """
    if not are_joined():
        return tree
    leaves, treedef = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    # Bytes, since the sum over processes that carries them would turn -0.0 into 0.0.
    content = np.concatenate([array.reshape(-1).view(np.uint8) for array in arrays])
    content = np.asarray(multihost_utils.broadcast_one_to_all(content))
    cuts = np.cumsum([array.nbytes for array in arrays])[:-1]
    found = [
        jax.device_put(piece.view(array.dtype).reshape(array.shape), leaf.sharding)
        for piece, array, leaf in zip(np.split(content, cuts), arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(treedef, found)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must come here."""
    if not are_joined():
        return flag
    return bool(multihost_utils.process_allgather(np.array([flag], np.int32)).any())


def require_same(what: str, tree: Any) -> None:
    """Raises InputError in all processes where their pytrees of arrays are not the same."""
    if not are_joined():
        return
    own = np.frombuffer(bytes.fromhex(hash_tree(tree)), np.uint8)
    every = multihost_utils.process_allgather(own)
    if (every != every[0]).any():
        fix = "give every process the same files and flags"
        raise input_error(what, "differs between the processes", fix)


def _broadcast_bytes(content: bytes) -> bytes:
    """The bytes of the first process."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(size, np.uint8)
    if is_first():
        padded[:] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()
