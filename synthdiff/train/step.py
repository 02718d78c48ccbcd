"""One training step, written for one device of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from synthdiff._validate import InputError
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.layout import Records
from synthdiff.train.device_table import AXIS, DeviceTable, take_rows
from synthdiff.train.optim import TrainConfig
from synthdiff.train.state import TrainState, update_ema


def draw_randomness(
    seed: int, step: jax.Array, position: jax.Array, batch_size: int
) -> tuple[jax.Array, jax.Array]:
    """Keys [b] and stratified times u [b] of the examples at global positions in the batch.

    u = (u0 + position / batch_size) mod 1 spreads the times of one batch evenly over [0, 1)
    (Kingma et al. 2021, arXiv 2107.00630, appendix I.1), whatever device holds which example.
    """
    key = jax.random.fold_in(purpose_key(seed, "train"), step)
    offset = jax.random.uniform(jax.random.fold_in(purpose_key(seed, "time"), step))
    u = jnp.mod(offset + position.astype(jnp.float32) / batch_size, 1.0)
    return record_keys(key, position), u


def make_train_step(
    loss_fn: Callable, tx: optax.GradientTransformation, config: TrainConfig
) -> Callable:
    """Builds `step(state, table, rows [b], position [b]) -> (state, metrics)` for use under AXIS.

    loss_fn(params, batch, keys [b], u [b]) -> terms [b, parts]; the objective is their mean.
    Gradients are averaged over devices; with `accumulate` they are summed over microbatches.
    """

    def objective(params: dict, batch: Records, keys: jax.Array, u: jax.Array) -> tuple:
        terms = loss_fn(params, batch, keys, u)
        return jnp.mean(terms), jnp.mean(terms, axis=0)

    gradient = jax.value_and_grad(objective, has_aux=True)

    def accumulated(params: dict, *examples: Any) -> Any:
        if config.accumulate == 1:
            return gradient(params, *examples)
        count = len(examples[-1])
        if count % config.accumulate:
            raise InputError(
                f"accumulate {config.accumulate} does not divide {count} records per device. "
                "Fix: use a batch_size that is a multiple of devices times accumulate."
            )
        split = jax.tree.map(
            lambda x: x.reshape(config.accumulate, count // config.accumulate, *x.shape[1:]),
            examples,
        )
        shape = jax.eval_shape(gradient, params, *jax.tree.map(lambda x: x[0], split))
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)

        def add(total: Any, microbatch: Any) -> tuple:
            return jax.tree.map(jnp.add, total, gradient(params, *microbatch)), None

        total, _ = jax.lax.scan(add, zero, split)
        return jax.tree.map(lambda x: x / config.accumulate, total)

    def step(state: TrainState, table: DeviceTable, rows: jax.Array, position: jax.Array) -> tuple:
        keys, u = draw_randomness(config.seed, state.step, position, config.batch_size)
        batch = take_rows(table, rows)
        (loss, per_part), grads = accumulated(state.params, batch, keys, u)
        loss, per_part, grads = jax.lax.pmean((loss, per_part, grads), AXIS)
        metrics = {"loss": loss, "per_part": per_part, "grad_norm": optax.global_norm(grads)}
        return advance(state, grads, tx, config), metrics

    return step


def advance(
    state: TrainState, grads: dict, tx: optax.GradientTransformation, config: TrainConfig
) -> TrainState:
    """The state after one step of the optimiser and of the moving average."""
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema_params = update_ema(state.ema_params, params, config.ema_decay, state.step)
    return TrainState(state.step + 1, params, ema_params, opt_state)
