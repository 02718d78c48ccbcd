"""Shadow models: many small models trained in one program, each on its own half of the patients.

An attacker who holds other patients of the same population can train models and know exactly who
is in which. What such models show of members is how attacks on the real one are calibrated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax

from synthdiff._progress import track
from synthdiff.diffusion.keys import purpose_key
from synthdiff.layout import Records
from synthdiff.train.device_table import DeviceTable
from synthdiff.train.optim import TrainConfig, make_optimizer
from synthdiff.train.parallel import make_parallel_train, to_devices
from synthdiff.train.state import create_state
from synthdiff.train.step import make_train_step


def draw_membership(num_patients: int, num_models: int, seed: int) -> np.ndarray:
    """bool [models, patients]: a fair coin for each patient and model; no model goes without."""
    member = np.random.default_rng([seed, 0]).random((num_models, num_patients)) < 0.5
    member[~member.any(axis=1), 0] = True
    return member


def draw_rows(
    member: np.ndarray, batch_size: int, seed: int, first_step: int, num_steps: int
) -> np.ndarray:
    """Rows of each model's batches, with replacement from its own: int32 [steps, batch, models].

    member: bool [models, rows]. A pure function of (seed, model, step).
    """
    rows = np.empty((num_steps, batch_size, len(member)), np.int32)
    for model, own in enumerate(map(np.flatnonzero, member)):
        for i in range(num_steps):
            rng = np.random.default_rng([seed, 1, model, first_step + i])
            rows[i, :, model] = rng.choice(own, batch_size)
    return rows


def make_shadow_step(
    loss_fn: Callable, tx: optax.GradientTransformation, config: TrainConfig
) -> Callable:
    """The training step over a leading axis of models; the carry is (seeds, states).

    Every model has a seed of its own, so that times and noises differ as between real runs.
    """

    def step(carry: tuple, table: DeviceTable, rows: jax.Array, position: jax.Array) -> tuple:
        seed, state = carry
        one = make_train_step(loss_fn, tx, replace(config, seed=seed))
        state, metrics = one(state, table, rows, position)
        return (seed, state), metrics["loss"]

    return jax.vmap(step, in_axes=(0, None, 1, None))


def train_shadows(
    init_fn: Callable, loss_fn: Callable, data: Records, member: np.ndarray, config: TrainConfig
) -> dict:
    """Trains one model per line of `member`, bool [models, rows]; averaged params [models, ...].

    init_fn(key) -> params and loss_fn as `make_network` and `make_loss_fn` give them. Raises
    FloatingPointError where a model's loss stops being a number.
    """
    tx = make_optimizer(config)
    seeds = jnp.arange(len(member), dtype=jnp.int32) + config.seed * len(member)
    start = jax.vmap(lambda seed: create_state(init_fn(purpose_key(seed, "init")), tx))
    devices = jax.local_devices()  # an audit is one process's business
    carry = to_devices((seeds, jax.jit(start)(seeds)), devices)
    run = make_parallel_train(make_shadow_step(loss_fn, tx, config), data, devices, donate=True)
    calls = range(0, config.num_steps, config.steps_per_call)
    for first in track(calls, f"{len(member)} shadow models", "call"):
        count = min(config.steps_per_call, config.num_steps - first)
        rows = draw_rows(member, config.batch_size, config.seed, first, count)
        carry, losses = run(carry, rows)
        bad = ~np.isfinite(np.asarray(losses)).all(axis=0)
        if bad.any():
            raise FloatingPointError(
                f"Shadow models {np.flatnonzero(bad).tolist()} diverged before step "
                f"{first + count}. Fix: lower learning_rate."
            )
    return jax.tree.map(np.asarray, carry[1].ema_params)


def take_model(params: dict, model: int) -> dict:
    """The params of one model out of the stack."""
    return jax.tree.map(lambda leaf: leaf[model], params)
