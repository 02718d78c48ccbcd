"""The optimiser: clipped AdamW under a warm-up and cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import jax
import optax

from synthdiff._validate import in_range, positive


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    num_steps: at most; fewer where max_epochs passes over the table are, for longer training
    learns a small cohort by heart. A private run always takes num_steps, as its rows are secret.
    batch_size: records per step over all devices. accumulate: microbatches per device and step.
    steps_per_call: steps per dispatch. ema_decay: memory of the moving average of the weights.
    condition_rate: share of records that show some columns clean, for imputation.
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
    seed: int = 0

    def __post_init__(self) -> None:
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
    """AdamW with weight decay on all but biases and scales, gradients clipped to a global norm."""
    warmup = min(config.warmup_steps, config.num_steps // 10)
    learning_rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, config.num_steps, 0.02 * config.learning_rate
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            learning_rate,
            b2=0.99,
            weight_decay=config.weight_decay,
            mask=partial(jax.tree_util.tree_map_with_path, _is_decayed),
        ),
    )


def _is_decayed(path: tuple, leaf: jax.Array) -> bool:
    """Biases are none of it, however many axes they have: they hold the marginals."""
    return leaf.ndim > 1 and not path[-1].key.startswith("bias")
