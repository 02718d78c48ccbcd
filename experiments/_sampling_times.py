"""How long the compiled sampler and `Synthesizer.sample` take, and what share of the machine."""

from __future__ import annotations

from _cases import make_sampling
from _timing import (
    compile_program,
    count_bytes,
    count_flops,
    make_evaluation,
    measure_calls,
    read_host_peak,
    reset_host_peak,
    sum_memory,
)

from synthdiff._validate import input_error
from synthdiff.diffusion.samplers import SAMPLERS, SamplerConfig
from synthdiff.synthesizer import Synthesizer


def parse_sampler(text: str) -> SamplerConfig:
    """ "heun:8" is sampler heun with 8 steps."""
    name, _, steps = text.partition(":")
    if not steps.isdigit():
        raise input_error(f"--samplers={text}", "is not name:steps", "write for example ddim:16")
    return SamplerConfig(name, int(steps))


def fit_steps(name: str, nfe: int) -> SamplerConfig:
    """The sampler with the most steps whose evaluations stay within `nfe`."""
    if nfe < 1:
        raise input_error(f"--nfe={nfe}", "is no number of evaluations", "give 1 or more")
    return SamplerConfig(name, (nfe - 1) // SAMPLERS[name].evaluations + 1)


def time_program(
    model: Synthesizer, sampler: SamplerConfig, block: int, limits: dict, repeats: int
) -> dict:
    """One compiled sampler of `block` records on one device."""
    layout = model.codec.layout
    evaluate, shapes = make_evaluation(model.config, layout, block)
    flops, moved = count_flops(evaluate, *shapes), count_bytes(evaluate, *shapes)
    held = reset_host_peak()
    fn, args = make_sampling(model, sampler, block)
    compiled, times = compile_program(fn, *args)
    calls = measure_calls(lambda: compiled(*args), repeats)
    host = read_host_peak() - held
    stats = compiled.memory_analysis()
    rates = {
        "share_of_peak": flops / limits["peak_flops"],
        "share_of_bandwidth": moved / limits["bandwidth"],
    }
    return (
        {"columns": len(layout.tokens), "sampler": sampler.name}
        | {"nfe": sampler.nfe, "block": block, **times, **calls}
        | {"records_per_s": block / calls["p50_s"]}
        | {name: sampler.nfe * cost / calls["p50_s"] for name, cost in rates.items()}
        | {"program_mb": stats.temp_size_in_bytes / 1e6, "device_mb": sum_memory(stats) / 1e6}
        | {"host_mb": host / 1e6}
    )


def time_calls(model: Synthesizer, sampler: SamplerConfig, rows: int, repeats: int) -> dict:
    """`Synthesizer.sample` as a user calls it."""
    calls = measure_calls(lambda: model.sample(rows, sampler=sampler), repeats)
    about = {"columns": len(model.codec.layout.tokens), "sampler": sampler.name, "rows": rows}
    return about | {"nfe": sampler.nfe, **calls, "records_per_s": rows / calls["p50_s"]}
