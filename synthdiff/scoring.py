"""What a trained model makes of rows that are given: its training objective of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from synthdiff.config import Config
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import choose_block
from synthdiff.synthesizer import Synthesizer
from synthdiff.train.parallel import make_parallel_map

SEED = 0  # of noises and of values within a step: the same for every model
GOLDEN_RATIO = 0.618034  # its multiples modulo 1 fill [0, 1) evenly, however many there are


def measure_loss(model: Synthesizer, df: pd.DataFrame, *, num_noises: int) -> np.ndarray:
    """The training objective of each row [rows], no column given: nats, summed over parts.

    Where rows are visits, each has that of its patient, which `average_records` counts once. The
    mean over `num_noises` noises of its own, at times that are spread evenly over a record's
    noises and over records, the same for every model.
    """
    config, codec = model.config, model.codec
    records = codec.encode(model.to_records(df), np.random.default_rng([SEED, 0]))
    measure = _make_measure(config.model, config.schedule, codec.layout, num_noises)
    shared, block = (model.params, purpose_key(SEED, "measure")), choose_block(codec.layout)
    nats = measure(shared, records, 0, len(records.continuous), block)
    return nats[model.number_records(df)]


def average_records(model: Synthesizer, df: pd.DataFrame, values: np.ndarray) -> float:
    """The mean over the records of a table of what each of its rows has of its record."""
    return float(values[np.unique(model.number_records(df), return_index=True)[1]].mean())


@lru_cache(maxsize=8)
def _make_measure(
    network: ModelConfig, schedule: Schedule, layout: Layout, num_noises: int
) -> Callable:
    """The mean loss over all devices; kept, so that a second call does not compile again."""
    denoiser = Config(model=network, schedule=schedule).make_denoiser(layout)[1]
    loss_fn = make_loss_fn(denoiser, condition_rate=0.0)

    def measure(shared: tuple, records: Records, index: jax.Array) -> jax.Array:
        params, key = shared

        def at(noise: jax.Array) -> jax.Array:
            share = (index.astype(jnp.float32) + 0.5) * GOLDEN_RATIO + noise / num_noises
            keys = record_keys(jax.random.fold_in(key, noise), index)
            return jnp.sum(loss_fn(params, records, keys, share % 1.0), axis=-1)

        return jnp.mean(jax.lax.map(at, jnp.arange(num_noises)), axis=0)

    return make_parallel_map(measure)
