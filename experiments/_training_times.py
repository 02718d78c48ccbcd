"""How long a training step takes, what share of the machine, and how much memory."""

from __future__ import annotations

import jax
from _cases import encode_cohort, make_advance
from _profile import profile
from _timing import (
    count_bytes,
    count_flops,
    list_programs,
    make_gradient,
    measure_calls,
    read_host_peak,
    read_program_memory,
    reset_host_peak,
)

from synthdiff.config import Config


def time_training(
    num_codes: int,
    steps_per_call: int,
    config: Config,
    limits: dict,
    repeats: int,
    kernels: list[dict],
) -> dict:
    """One row: the training of one model on a cohort with `num_codes` code columns.

    The first case puts its kernels into the list.
    """
    data, codec = encode_cohort(num_codes)
    batch = config.train.batch_size
    gradient, shapes = make_gradient(config, codec.layout, batch)
    flops, moved = count_flops(gradient, *shapes), count_bytes(gradient, *shapes)
    flops, moved = (count / len(jax.local_devices()) for count in (flops, moved))
    held, before = reset_host_peak(), list_programs()
    advance = make_advance(config, data, codec.layout, steps_per_call)
    calls = measure_calls(advance, repeats)
    memory = read_program_memory(before)
    kernels += [] if kernels else profile(advance)
    step_s = calls["p50_s"] / steps_per_call
    return (
        {"model": config.model.name, "columns": len(codec.layout.tokens), "batch": batch}
        | {"steps_per_call": steps_per_call}
        | {"compile_s": calls["first_s"] - calls["p50_s"], "step_s": step_s}
        | {"p95_step_s": calls["p95_s"] / steps_per_call, "steps_per_s": 1.0 / step_s}
        | {"records_per_s": batch / step_s, "share_of_peak": flops / step_s / limits["peak_flops"]}
        | {"share_of_bandwidth": moved / step_s / limits["bandwidth"]}
        | {"host_gb": (read_host_peak() - held) / 1e9, "device_gb": memory and memory / 1e9}
    )
