"""Times sampling: records per second, compile time, memory, and shares of what the machine can do.

    python experiments/benchmark_sampling.py --blocks=64,512,2048 --columns=64,256,1024 \\
        --rows=512,4096 --samplers=ancestral:64,ddim:16,heun:8 --record=sampling.json

Each list is swept by itself around one base: the first sampler, the first count of code columns and
blocks of as many records as sampling takes, 512 on a CPU. Weights are fresh, because speed does not
depend on them; the table is simulated. All tables but "rows" time the compiled sampler on one
device; "rows" times `Synthesizer.sample` on all devices, decoding included. Shares: FLOP/s of the
network evaluations over a measured matrix product, and the bytes they move, by XLA's estimate, over
a measured triad. program_mb is the program's own working memory, device_mb that with arguments and
results; host_mb is what the process grew by at its peak.
"""

import time
from functools import cache
from pathlib import Path

import jax
from _cases import build_model, encode_cohort
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _results import define_record_flag
from _sampling_times import parse_sampler, time_calls, time_program
from _tables import report
from _timing import describe_limits, fit_slope
from absl import flags

from synthdiff.config import Config
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import choose_block


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    flags.DEFINE_list("samplers", ["ancestral:64", "ddim:16", "heun:8"], "samplers as name:steps")
    define_numbers("blocks", "64,512,2048", "records per program")
    define_numbers("columns", "64,256,1024", "code columns of the simulated cohort")
    define_numbers("rows", "512,4096", "rows per call of Synthesizer.sample")
    flags.DEFINE_integer("repeats", 10, "timed calls of each case", lower_bound=1)
    define_record_flag("sampling.json")


def benchmark(run_dir: Path) -> None:
    jax.config.update("jax_enable_compilation_cache", False)  # else compile times are of the disk
    started, config = time.time(), Config(model=read_config("model", ModelConfig))
    samplers = [parse_sampler(text) for text in FLAGS.samplers]
    columns, tables = [int(text) for text in FLAGS.columns], {}
    limits = describe_limits(config.model.dtype)
    model, first = build_model(encode_cohort(columns[0])[1], config), samplers[0]
    block = choose_block(model.codec.layout)

    @cache  # the base belongs to every sweep and is measured once
    def measure(count: int, sampler: SamplerConfig, block: int) -> dict:
        subject = model if count == columns[0] else build_model(encode_cohort(count)[1], config)
        return time_program(subject, sampler, block, limits, FLAGS.repeats)

    tables["blocks"] = [measure(columns[0], first, int(block)) for block in FLAGS.blocks]
    tables["samplers"] = [measure(columns[0], sampler, block) for sampler in samplers]
    tables["columns"] = [measure(count, first, block) for count in columns]
    tables["rows"] = [time_calls(model, first, int(rows), FLAGS.repeats) for rows in FLAGS.rows]
    facts = {"model": config.model.name, "dtype": config.model.dtype, **limits}
    for name in ("p50_s", "program_mb") if len(columns) > 1 else ():
        pairs = [(row["columns"], row[name]) for row in tables["columns"]]
        facts[f"slope of {name} in columns"] = fit_slope(*zip(*pairs, strict=True))
    facts["wall_seconds"] = round(time.time() - started)
    report(run_dir / "sampling.json", "Speed of sampling", facts, tables)


if __name__ == "__main__":
    run_script(benchmark, define_flags)
