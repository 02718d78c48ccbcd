"""The training table on the devices: whole on each, or cut over all of them where it is large."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

AXIS = "devices"  # of every program of training


class DeviceTable(NamedTuple):
    """columns: a pytree of arrays [rows, ...], the rows that this device holds.

    first: the number of the first of them, int32; None where each device holds the whole table.
    """

    columns: Any
    first: Any = None


def take_rows(table: DeviceTable, rows: jax.Array) -> Any:
    """The pytree [b, ...] of these rows of the whole table, for use under AXIS; zeros where -1.

    Where the table is cut, each device looks up the rows that all devices want, and what is found
    is summed: every row lies on one device, the others add zeros, so the values are exact.
    """
    if table.first is None:
        return jax.tree.map(lambda column: _look_up(column, rows), table.columns)
    wanted = jax.lax.all_gather(rows, AXIS) - table.first  # [devices, b]

    def exchange(column: jax.Array) -> jax.Array:
        return jax.lax.psum_scatter(_look_up(column, wanted), AXIS)

    return jax.tree.map(exchange, table.columns)


def _look_up(column: jax.Array, rows: jax.Array) -> jax.Array:
    """column[rows], zeros where there is no such row."""
    beyond = jnp.where(rows < 0, len(column), rows)
    return column.at[beyond].get(mode="fill", fill_value=0)
