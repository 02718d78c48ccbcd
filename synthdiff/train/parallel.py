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
from synthdiff.train.device_table import AXIS, DeviceTable

T = TypeVar("T")

WHOLE_BYTES = 2**30  # of a table that every device holds whole: no exchange, and room for it


def make_parallel_train(
    step: Callable, data: Any, devices: Sequence[jax.Device] | None = None, *, donate: bool = False
) -> Callable:
    """Builds `run(state, rows [k, batch, ...]) -> (state, metrics [k, ...])`.

    step(state, table, rows, position) runs under AXIS and takes rows of `data`, a pytree of arrays
    [rows, ...] on the host, by `take_rows`. k steps are one dispatch, each batch cut evenly over
    the devices, by default those of all processes. Every process calls with the same data and the
    same whole batch and feeds its own devices their share. The state is broadcast (in_axes None),
    so it never has a device axis; the data are copied to every device, or cut over all where they
    have more than WHOLE_BYTES. Axes of `rows` beyond the batch, such as one for models that are
    trained together, go to the step as they are.
    donate: the new state takes the memory of the old one, which is gone after the call; the state
    must come from `to_devices` or from a call before.
    """
    devices = list(devices or jax.devices())
    own = _find_own(devices)
    table = _lay_out(data, devices)

    def many(state: Any, table: DeviceTable, rows: jax.Array, position: jax.Array) -> tuple:
        def body(state: Any, rows_of_step: jax.Array) -> tuple:
            return step(state, table, rows_of_step, position)

        return jax.lax.scan(body, state, rows)

    mapped = jax.pmap(
        many,
        AXIS,
        in_axes=(None, None if table.first is None else 0, 1, 0),
        out_axes=(None, None),
        devices=devices,
        donate_argnums=(0,) if donate else (),
    )

    def run(state: Any, rows: np.ndarray) -> tuple:
        num_steps, batch_size, *rest = rows.shape
        if batch_size % len(devices):
            raise InputError(
                f"batch_size {batch_size} does not divide over {len(devices)} devices. "
                f"Fix: use a multiple of {len(devices)}."
            )
        position = np.arange(batch_size, dtype=np.int32).reshape(len(devices), -1)
        rows = rows.reshape(num_steps, len(devices), -1, *rest)
        return mapped(state, table, rows[:, own], position[own])

    return run


def _lay_out(data: Any, devices: Sequence[jax.Device]) -> DeviceTable:
    """The data on the devices: whole, or device i with rows i * size to (i + 1) * size.

    The last parts are padded with zeros; each process copies to its own devices.
    """
    columns = jax.tree.map(np.asarray, data)
    if len(devices) == 1 or sum(c.nbytes for c in jax.tree.leaves(columns)) <= WHOLE_BYTES:
        return DeviceTable(to_devices(columns, devices))
    own = np.array(_find_own(devices))
    size = -(-len(jax.tree.leaves(columns)[0]) // len(devices))

    def cut(column: np.ndarray) -> np.ndarray:
        parts = np.zeros((len(own), size, *column.shape[1:]), column.dtype)
        for part, i in zip(parts, own, strict=True):
            held = column[i * size : (i + 1) * size]
            part[: len(held)] = held
        return parts

    table = DeviceTable(jax.tree.map(cut, columns), (own * size).astype(np.int32))
    return jax.pmap(lambda part: part, AXIS, devices=devices)(table)


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
