"""Where a trained network puts whole records: vectors to search and to compare them by."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np

from synthdiff.config import Config
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import choose_block
from synthdiff.train.parallel import make_parallel_map


def embed_records(
    network: ModelConfig, schedule: Schedule, layout: Layout, params: dict, records: Records
) -> np.ndarray:
    """The U-Net's token of each whole record, or the MLP's last hidden layer: float32 [n, d].

    Trained by masking columns and guessing them from the others, so no labels are needed. The same
    for a record however many there are and on however many devices.
    """
    run = _make_embed(network, schedule, layout)
    return run(params, records, 0, len(records.continuous), choose_block(layout))


@lru_cache(maxsize=8)
def _make_embed(network: ModelConfig, schedule: Schedule, layout: Layout) -> Callable:
    """The embedding over all devices; kept, so that a second call does not compile again."""
    denoiser = Config(model=network, schedule=schedule).make_denoiser(layout)[1]

    def run(params: dict, records: Records, index: jax.Array) -> jax.Array:
        categorical = records.categorical.astype("int32")
        return denoiser.embed(params, Records(records.continuous, categorical))

    return make_parallel_map(run)
