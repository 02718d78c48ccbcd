"""All devices of the run, in one process or many: the only file that names pmap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from synthdiff._progress import track
from synthdiff._validate import InputError
from synthdiff.train.step import AXIS

T = TypeVar("T")


def make_parallel_train(
    step: Callable, devices: Sequence[jax.Device] | None = None, *, donate: bool = False
) -> Callable:
    """Builds `run(state, data, rows [k, batch, ...]) -> (state, metrics [k, ...])`.

    k steps are one dispatch, each batch cut evenly over the devices, by default those of all
    processes. Every process calls with the same whole batch and feeds its own devices their share.
    State and data are broadcast (in_axes None), so neither ever has a device axis. Axes of `rows`
    beyond the batch, such as one for models that are trained together, go to the step as they are.
    donate: the new state takes the memory of the old one, which is gone after the call; the state
    must come from `to_devices` or from a call before.
    """
    devices = list(devices or jax.devices())
    own = _find_own(devices)

    def many(state: Any, data: Any, rows: jax.Array, position: jax.Array) -> tuple:
        def body(state: Any, rows_of_step: jax.Array) -> tuple:
            return step(state, data, rows_of_step, position)

        return jax.lax.scan(body, state, rows)

    mapped = jax.pmap(
        many,
        AXIS,
        in_axes=(None, None, 1, 0),
        out_axes=(None, None),
        devices=devices,
        donate_argnums=(0,) if donate else (),
    )

    def run(state: Any, data: Any, rows: np.ndarray) -> tuple:
        num_steps, batch_size, *rest = rows.shape
        if batch_size % len(devices):
            raise InputError(
                f"batch_size {batch_size} does not divide over {len(devices)} devices. "
                f"Fix: use a multiple of {len(devices)}."
            )
        position = np.arange(batch_size, dtype=np.int32).reshape(len(devices), -1)
        rows = rows.reshape(num_steps, len(devices), -1, *rest)
        return mapped(state, data, rows[:, own], position[own])

    return run


def make_parallel_map(fn: Callable, devices: Sequence[jax.Device] | None = None) -> Callable:
    """Builds `run(params, extra [count, ...], first, count, block) -> host pytree [count, ...]`.

    fn(params, extra [block, ...], index [block]) is always compiled for one block per device, and
    index counts records globally from `first`. Blocks begin at multiples of their size, and what is
    not asked for is padded and cut off, so a record's result depends neither on the device count
    nor on the range that it is asked in. The devices are this process's own: it maps its own range.
    What takes over 5 seconds shows its progress on a terminal.
    """
    devices = list(devices or jax.local_devices())
    mapped = jax.pmap(fn, in_axes=(None, 0, 0), devices=devices)

    def run(params: Any, extra: Any, first: int, count: int, block: int) -> Any:
        stride, lead = block * len(devices), first % block
        chunks = []
        starts = range(-lead, count, stride)
        for start in track(starts, "blocks", "block"):
            grid = (len(devices), block)
            index = first + start + np.arange(stride, dtype=np.int32).reshape(grid)
            piece = jax.tree.map(lambda x, s=start, g=grid: _take_padded(x, s, g), extra)
            chunks.append(jax.tree.map(np.asarray, mapped(params, piece, index)))
        joined = jax.tree.map(lambda *parts: np.concatenate([_merge(p) for p in parts]), *chunks)
        return jax.tree.map(lambda x: x[lead : lead + count], joined)

    return run


def _take_padded(array: np.ndarray, start: int, shape: tuple[int, int]) -> np.ndarray:
    rows = np.clip(start + np.arange(shape[0] * shape[1]), 0, len(array) - 1)
    return np.asarray(array)[rows].reshape(*shape, *array.shape[1:])


def _merge(array: np.ndarray) -> np.ndarray:
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _find_own(devices: Sequence[jax.Device]) -> list[int]:
    """The places of this process's devices among all."""
    return [i for i, d in enumerate(devices) if d.process_index == jax.process_index()]


def to_devices(tree: T, devices: Sequence[jax.Device] | None = None) -> T:
    """Copies a pytree once to every device, so that later calls move nothing.

    Every process must hold the same; each copies to its own devices. Each leaf gets memory of its
    own, also one that occurs twice.
    """
    devices = list(devices or jax.devices())
    copy = jax.pmap(
        lambda _, tree: jax.tree.map(partial(jnp.array, copy=True), tree),
        AXIS,  # the axis of training: under another name its program would compile twice
        in_axes=(0, None),
        out_axes=None,
        devices=devices,
    )
    return copy(np.zeros(len(_find_own(devices))), tree)
