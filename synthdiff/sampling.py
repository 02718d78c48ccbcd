"""Draws any range of synthetic records: row i is a function of model, seed and i alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from synthdiff._validate import in_range, positive
from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.diffusion.denoiser import Prediction, known_parts
from synthdiff.diffusion.guidance import guide
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.samplers import DenoiseFn, SamplerConfig, sample
from synthdiff.diffusion.spread import spread_uniform
from synthdiff.layout import Layout, Records
from synthdiff.train.parallel import make_parallel_map

BLOCK = 512  # records per device and program, at least
WIDEST = 2**20  # tokens of a program on an accelerator, which many records at once keep busy
LAST = 2**31 - 1  # records are counted in int32; no record is this one or the one before it


def choose_block(layout: Layout, platform: str | None = None) -> int:
    """Records per device and program: fixed for a table and a kind of device, so that a row never
    depends on how many are asked for.

    platform: of the devices, as jax.default_backend() calls it, which is the default.
    """
    if (platform or jax.default_backend()) == "cpu":
        return BLOCK  # the cache holds no more
    return max(BLOCK, min(1 << int(math.log2(WIDEST / len(layout.tokens))), 32 * BLOCK))


def draw_table(
    codec: Codec,
    config: Config,
    params: dict,
    given: pd.DataFrame,
    *,
    first: int,
    num_rows: int,
    seed: int,
    guidance: float = 0.0,
    sampler: SamplerConfig | None = None,
) -> pd.DataFrame:
    """Rows first .. first + num_rows - 1 of the endless synthetic table of this seed.

    given: columns that are not drawn, one cell for each of these rows.
    """
    run = _make_sampler(config, codec.layout, sampler, guidance)
    records = _draw_records(run, codec, params, given, first, num_rows, seed)
    return codec.decode(records, np.random.default_rng([seed, 2]), first)


def draw_records(
    codec: Codec, config: Config, params: dict, *, num_rows: int, seed: int
) -> Records:
    """The first rows of that table as they are before the codec decodes them: on the host."""
    run = _make_sampler(config, codec.layout, None, 0.0)
    drawn = _draw_records(run, codec, params, pd.DataFrame(), 0, num_rows, seed)
    return Records(drawn.continuous, drawn.categorical.astype(codec.layout.code_dtype))


def draw_states(
    codec: Codec, config: Config, params: dict, *, seed: int, num_rows: int = BLOCK, count: int = 6
) -> dict[int, Records]:
    """How the first rows of the synthetic table of this seed come out of noise.

    {steps taken: Records [num_rows]} at `count` steps, evenly apart, from 0, which is noise, to
    all of them, which is what `draw_table` decodes. A category that is not drawn yet has the code
    of the mask.
    """
    num_steps = config.sampler.num_steps
    steps = sorted({round(step) for step in np.linspace(0, num_steps, count)})
    run = make_parallel_map(_make_trace_fn(config, codec.layout, None, 0.0, tuple(steps[:-1])))
    end, states = _draw_records(run, codec, params, pd.DataFrame(), 0, num_rows, seed)
    found = {step: Records(*(x[:, at] for x in states)) for at, step in enumerate(steps[:-1])}
    return found | {num_steps: end}


def _draw_records(
    run: Callable,
    codec: Codec,
    params: dict,
    given: pd.DataFrame,
    first: int,
    num_rows: int,
    seed: int,
) -> Any:
    """What the mapped sampler makes of these rows of the endless table of this seed."""
    positive(num_rows=num_rows)
    in_range(0, LAST - 1 - num_rows - choose_block(codec.layout), first=first)
    values, known = codec.encode_given(given, num_rows, np.random.default_rng([seed, 1]), first)
    return run(
        (params, purpose_key(seed, "sample"), known),
        values,
        first,
        num_rows,
        choose_block(codec.layout),
    )


@lru_cache(maxsize=8)
def _make_sampler(
    config: Config, layout: Layout, sampler: SamplerConfig | None, guidance: float
) -> Callable:
    """The sampler over all devices; kept, so that a second call does not compile again."""
    return make_parallel_map(make_sample_fn(config, layout, sampler, guidance))


def make_sample_fn(
    config: Config, layout: Layout, sampler: SamplerConfig | None, guidance: float
) -> Callable:
    """Builds `fn((params, key, known), given: Records [b], index [b]) -> Records [b]`.

    known: bool [tokens], which of them `given` holds.
    """
    trace = _make_trace_fn(config, layout, sampler, guidance, ())
    return lambda shared, given, index: trace(shared, given, index)[0]


def _make_trace_fn(
    config: Config,
    layout: Layout,
    sampler: SamplerConfig | None,
    guidance: float,
    steps: tuple[int, ...],
) -> Callable:
    """As `make_sample_fn`, and the states [b, steps] that these steps began with."""
    sampler, schedule = sampler or config.sampler, config.schedule
    denoiser = config.make_denoiser(layout)[1]

    def churn_time(t: jax.Array) -> jax.Array:
        grid = jnp.linspace(0.0, 1.0, 1024)
        target = schedule.log_snr(t) - 2.0 * jnp.log1p(sampler.churn)
        return jnp.interp(-target, -schedule.log_snr(grid), grid)

    def draw(shared: tuple, given: Records, index: jax.Array) -> tuple[Records, Records]:
        params, key, known = shared
        parts = known_parts(jnp.broadcast_to(known, (len(index), len(layout.tokens))), layout)
        given = Records(given.continuous, given.categorical.astype(jnp.int32))

        def denoise_given(
            parts: Records, z: Records, t: jax.Array, pick: jax.Array | None
        ) -> Prediction:
            times = jnp.full(len(index), t)
            return denoiser(params, z, times, given, parts, pick).average()

        denoise_fn: DenoiseFn = partial(denoise_given, parts)
        if guidance:
            free = jax.tree.map(jnp.zeros_like, parts)
            denoise_fn = guide(denoise_fn, partial(denoise_given, free), guidance)
        drawn, states = sample(
            sampler,
            denoise_fn,
            partial(denoiser.levels, params),
            layout,
            record_keys(key, index),
            churn_time,
            spread_uniform(jax.random.fold_in(key, LAST), index, layout.num_categorical),
            spread_uniform(jax.random.fold_in(key, LAST - 1), index, sampler.num_steps),
        )
        chosen = jnp.array(steps, jnp.int32)
        states = jax.tree.map(lambda state: jnp.moveaxis(state[chosen], 0, 1), states)
        return jax.tree.map(jnp.where, parts, given, drawn), states

    return draw
