"""How training and sampling scale over devices: one row per kind of scaling and device count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
from _cases import make_advance, make_sampling
from _timing import measure_calls

from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.layout import Records
from synthdiff.synthesizer import Synthesizer
from synthdiff.train.parallel import make_parallel_map


def time_step(
    config: Config,
    data: Records,
    codec: Codec,
    steps: int,
    repeats: int,
    devices: Sequence[jax.Device],
    batch: int,
) -> float:
    """Seconds of a step with `batch` records over these devices, `steps` to a dispatch."""
    trained = replace(config, train=replace(config.train, batch_size=batch))
    advance = make_advance(trained, data, codec.layout, steps, devices)
    return measure_calls(advance, repeats)["p50_s"] / steps


def time_draw(
    model: Synthesizer,
    sampler: SamplerConfig,
    block: int,
    repeats: int,
    devices: Sequence[jax.Device],
    rows: int,
) -> float:
    """Seconds of drawing so many records over these devices, block by block."""
    fn, (shared, given, _) = make_sampling(model, sampler, block)
    draw, given = make_parallel_map(fn, devices), jax.tree.map(np.asarray, given)
    call = partial(draw, shared, given, 0, rows, block)  # what is given is padded by its last row
    return measure_calls(call, repeats)["p50_s"]


def measure_scaling(measure: Callable, sizes: dict[str, Callable], counts: list[int]) -> list[dict]:
    """One row per kind of scaling and number of devices; `measure(devices, records)` is seconds.

    sizes: how many records by the number of devices, for each kind.
    """
    devices, shared = jax.local_devices(), jax.default_backend() == "cpu"
    seconds = cache(lambda count, records: measure(devices[:count], records))
    tables = []
    for scaling, size in sizes.items():
        rows = []
        for count in counts:
            records, spent = size(count), seconds(count, size(count))
            row = {"scaling": scaling, "devices": count, "batch": records, "step_s": spent}
            rows.append(row | {"records_per_s": records / spent})
            print(rows[-1], flush=True)
        tables += add_efficiency(rows, shared)
    return tables


def add_efficiency(rows: list[dict], shared: bool) -> list[dict]:
    """Records per second over the first row's, per device unless the devices share their cores."""
    rates = [row["records_per_s"] / (1 if shared else row["devices"]) for row in rows]
    return [row | {"efficiency": rate / rates[0]} for row, rate in zip(rows, rates, strict=True)]
