"""Gradient canaries: invented patients whose trace in the weights shows what a step gives away.

Canary i asks for one thing, that weight i should grow, with a gradient far above the clip norm. It
runs through the private step as any patient does: roster, sampling, clipping, sum over devices,
noise. Under plain gradient descent weight i then is its trace, and the attacker reads it at every
step, which is the attacker that the accounting assumes (Nasr et al. 2023, arXiv 2302.07956).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from synthdiff._progress import track
from synthdiff.layout import Records
from synthdiff.train.dp import DpConfig, GradientPlan, make_private_step
from synthdiff.train.optim import TrainConfig
from synthdiff.train.parallel import make_parallel_train
from synthdiff.train.state import create_state

LOUD = 100.0  # gradient norm of a canary in units of the clip norm
DRAWN = 2  # rows of each canary


def run_canaries(
    dp: DpConfig,
    plan: GradientPlan,
    samples: np.ndarray,
    included: np.ndarray,
    secret: int,
) -> np.ndarray:
    """Trains on canaries alone; their weights after every step: float64 [steps, canaries].

    samples [steps, capacity]: which of the included canaries, numbered from 0, each step draws,
    padded with -1. included [canaries]: the coins.
    """
    inside = np.flatnonzero(included)
    numbers = np.zeros((len(inside), dp.max_rows_per_patient, 1), np.float32)
    numbers[:, :DRAWN] = inside[:, None, None]
    present = np.zeros(numbers.shape[:2], np.int8)
    present[:, :DRAWN] = 1
    data = (Records(numbers, np.zeros((*numbers.shape[:2], 0), np.int8)), present)

    def loss_fn(params: dict, batch: Records, keys: jax.Array, u: jax.Array) -> jax.Array:
        return -LOUD * plan.clip_norm * params["w"][batch.continuous.astype(jnp.int32)]

    tx, config = optax.sgd(1.0), TrainConfig(num_steps=plan.num_steps)
    step = make_private_step(loss_fn, tx, config, dp, plan, secret)
    run = make_parallel_train(step, data)
    state, traces = create_state({"w": jnp.zeros(len(included))}, tx), []
    for rows in track(samples, "steps with canaries", "step"):
        state, _ = run(state, rows[None])
        traces.append(np.asarray(state.params["w"], float))
    return np.stack(traces)


def score_canaries(traces: np.ndarray, plan: GradientPlan) -> dict[str, np.ndarray]:
    """Two scores per canary, higher for "was in": the likelihood ratio of its steps under the plan,
    which no attack beats if all is as claimed, and how uneven they are.

    The second finds noise that is the same at every step, which the first cannot see.
    """
    moves = np.diff(traces, axis=0, prepend=0.0)
    x = moves * plan.expected_batch / plan.clip_norm  # 1 where drawn, plus noise of sigma
    with np.errstate(divide="ignore"):
        out, drawn = np.log1p(-plan.rate), np.log(plan.rate)
    ratio = np.logaddexp(out, drawn + (x - 0.5) / plan.sigma**2)
    return {"likelihood": ratio.sum(axis=0), "spread": moves.std(axis=0)}
