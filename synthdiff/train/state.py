"""What training carries from step to step: arrays only, so a checkpoint is exactly this."""

from __future__ import annotations

from collections.abc import Callable

import flax
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """step: int32 scalar. ema_params: moving average of params, the weights that sample."""

    step: jax.Array
    params: dict
    ema_params: dict
    opt_state: optax.OptState


def create_state(
    params: dict, tx: optax.GradientTransformation, moved: dict | None = None
) -> TrainState:
    """The state before step 0; the moving average starts at the params, not at zero.

    moved: those of the params that training moves; by default all.
    """
    return TrainState(jnp.int32(0), params, params, tx.init(params if moved is None else moved))


def update_ema(ema_params: dict, params: dict, decay: float, step: jax.Array) -> dict:
    """One step of the moving average, with a shorter memory (1 + t) / (10 + t) early on."""
    rate = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: rate * old + (1.0 - rate) * new, ema_params, params)


def keep_whole(params: dict) -> tuple[dict, Callable[[dict], dict]]:
    """The params that move, which are all, and what puts such back among the others."""
    return params, dict
