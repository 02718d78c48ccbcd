"""The optimiser: clipped AdamW or Muon under a warm-up and cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, muon

from synthdiff._validate import in_range, one_of, positive

OPTIMIZERS = ("adamw", "muon")
BLOCK = 128  # columns that Muon makes orthogonal at once: its cost grows with the square
RMS = 0.2  # of an update per unit of learning rate, about AdamW's (Liu et al., arXiv 2502.16982)


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    num_steps: at most; a private run always takes them, as its rows are secret. max_epochs: passes
    over the table, at most, for longer training learns a small cohort by heart. batch_size: records
    per step over all devices. learning_rate: after warm-up, before the cosine. warmup_steps: over
    which it rises, or a tenth of all. weight_decay: of matrices, per unit of learning rate.
    clip_norm: of the whole gradient. ema_decay: memory of the moving average of the weights.
    accumulate: microbatches per device and step. steps_per_call: steps per dispatch.
    checkpoint_every: steps between checkpoints. condition_rate: share of records that show some
    columns clean, for imputation. optimizer: "adamw", or "muon", which learnt more in half the
    steps on a table of 24,000 rows; a step of 256 records takes 2.3 times as long, one of 512
    between 1.6 and 2 times. seed: of the weights, batches and noise.
    """

    num_steps: int = 2500
    max_epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    accumulate: int = 1
    steps_per_call: int = 100
    checkpoint_every: int = 500
    condition_rate: float = 0.1
    optimizer: str = "adamw"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(OPTIMIZERS, optimizer=self.optimizer)
        positive(
            num_steps=self.num_steps,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            clip_norm=self.clip_norm,
            accumulate=self.accumulate,
            steps_per_call=self.steps_per_call,
            checkpoint_every=self.checkpoint_every,
        )
        in_range(0.0, 1.0, ema_decay=self.ema_decay, condition_rate=self.condition_rate)

    def limit_steps(self, num_rows: int) -> TrainConfig:
        """The config with no more steps than max_epochs passes over so many rows take."""
        most = math.ceil(self.max_epochs * num_rows / self.batch_size)
        return replace(self, num_steps=min(self.num_steps, most))


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Gradients clipped to a global norm, then AdamW or Muon; weights of matrices decay.

    The cosine ends at a fiftieth of the learning rate.

    Muon (Jordan et al. 2024) makes the momentum of dense kernels orthogonal and leaves the other
    parameters, tables of categories among them, to AdamW.
    """
    warmup = min(config.warmup_steps, config.num_steps // 10)
    learning_rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, config.num_steps, 0.02 * config.learning_rate
    )
    if config.optimizer == "muon":
        rule = _in_blocks(
            muon(
                learning_rate,
                weight_decay=config.weight_decay,
                adam_b2=0.99,
                consistent_rms=RMS,
                muon_weight_dimension_numbers=_find_kernels,
            )
        )
    else:
        decayed = partial(jax.tree_util.tree_map_with_path, _is_decayed)
        rule = optax.adamw(learning_rate, b2=0.99, weight_decay=config.weight_decay, mask=decayed)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), rule)


def _is_decayed(path: tuple, leaf: jax.Array) -> bool:
    """Biases are none of it, however many axes they have: they hold the marginals."""
    return leaf.ndim > 1 and not path[-1].key.startswith("bias")


def _is_kernel(path: tuple) -> bool:
    return path[-1].key == "kernel"


def _find_kernels(params: dict) -> dict:
    """Muon's axes of every kernel [..., in, out], None of other parameters."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: MuonDimensionNumbers(-2, -1) if _is_kernel(path) else None, params
    )


def _in_blocks(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """The rule on kernels cut into [blocks, ..., in, BLOCK] where their outputs divide evenly."""

    def cut(path: tuple, leaf: jax.Array) -> jax.Array:
        if not _is_kernel(path) or leaf.shape[-1] % BLOCK:
            return leaf
        return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], -1, BLOCK), -2, 0)

    def join(blocks: jax.Array, leaf: jax.Array) -> jax.Array:
        if blocks.ndim == leaf.ndim:
            return blocks
        return jnp.moveaxis(blocks, 0, -2).reshape(leaf.shape)

    cut_all = partial(jax.tree_util.tree_map_with_path, cut)

    def update(updates: dict, state: optax.OptState, params: dict | None = None) -> tuple:
        found, state = tx.update(cut_all(updates), state, cut_all(params))
        return jax.tree.map(join, found, updates), state

    return optax.GradientTransformation(lambda params: tx.init(cut_all(params)), update)
