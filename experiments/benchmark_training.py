"""Times training: steps per second, what a dispatch costs, and growth with the columns.

    python experiments/benchmark_training.py --columns=64,256,1024 --record=training.json

"dispatch" rows run the same steps, --steps_per_call by --steps_per_call, on the first count of code
columns; a single step per call pays for its dispatch alone, and the record says what share that
is at --train.steps_per_call steps, by a fit of a + b / steps. "columns" rows run
--steps_of_columns steps per call. All devices are used. The table is simulated. share_of_peak is
the arithmetic of the network forwards and backwards over a measured matrix product; compile_s is
the first call less a later one; host_gb is what the process grew by at its peak. On a GPU the table
"kernels" says where the first case of "dispatch" spends its time.
"""

import time
from functools import cache
from pathlib import Path

import jax
from _cases import encode_cohort, make_advance
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _profile import profile
from _results import define_record_flag
from _tables import report
from _timing import (
    count_gradient,
    fit_slope,
    measure_calls,
    measure_peak,
    read_device_peak,
    read_host_peak,
    reset_host_peak,
    share_of_dispatch,
)
from absl import flags

from synthdiff.config import Config
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig


def time_training(
    num_codes: int, steps_per_call: int, config: Config, peak: float, kernels: list[dict]
) -> dict:
    """One row: the training of one model on a cohort with `num_codes` code columns.

    The first case puts its kernels into the list.
    """
    data, codec = encode_cohort(num_codes)
    batch = config.train.batch_size
    flops = count_gradient(config, codec.layout, batch) / len(jax.local_devices())
    held = reset_host_peak()
    advance = make_advance(config, data, codec.layout, steps_per_call)
    calls = measure_calls(advance, FLAGS.repeats)
    kernels += [] if kernels else profile(advance)
    step_s = calls["p50_s"] / steps_per_call
    return (
        {"model": config.model.name, "columns": len(codec.layout.tokens), "batch": batch}
        | {"steps_per_call": steps_per_call}
        | {"compile_s": calls["first_s"] - calls["p50_s"], "step_s": step_s}
        | {"p95_step_s": calls["p95_s"] / steps_per_call, "steps_per_s": 1.0 / step_s}
        | {"records_per_s": batch / step_s, "share_of_peak": flops / step_s / peak}
        | {"host_gb": (read_host_peak() - held) / 1e9, "device_peak": read_device_peak()}
    )


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_numbers("columns", "64,256,1024", "code columns of the simulated cohort")
    define_numbers("steps_per_call", "1,10,100", "steps per dispatch to compare")
    flags.DEFINE_integer("steps_of_columns", 2, "steps per dispatch where columns are compared")
    flags.DEFINE_integer("repeats", 5, "timed calls of each case", lower_bound=1)
    define_record_flag("training.json")


def benchmark(run_dir: Path) -> None:
    jax.config.update("jax_enable_compilation_cache", False)  # else compile times are of the disk
    started = time.time()
    config = Config(read_config("model", ModelConfig), train=read_config("train", TrainConfig))
    columns, peak = [int(text) for text in FLAGS.columns], measure_peak(config.model.dtype)
    kernels: list[dict] = []
    measure = cache(lambda count, steps: time_training(count, steps, config, peak, kernels))
    dispatch = [measure(columns[0], int(steps)) for steps in FLAGS.steps_per_call]
    several = columns if len(columns) > 1 else []
    wide = [measure(count, FLAGS.steps_of_columns) for count in several]
    facts = {"dtype": config.model.dtype, "peak_flops": peak}
    pairs = [(row["steps_per_call"], row["step_s"]) for row in dispatch]
    facts |= share_of_dispatch(*zip(*pairs, strict=True), config.train.steps_per_call)
    for name in ("step_s", "host_gb") if wide else ():
        slope = fit_slope([row["columns"] for row in wide], [row[name] for row in wide])
        facts[f"slope of {name} in columns"] = slope
    facts["wall_seconds"] = round(time.time() - started)
    tables = {"dispatch": dispatch, "columns": wide, "kernels": kernels}
    report(run_dir / "training.json", "Speed of training", facts, tables)


if __name__ == "__main__":
    run_script(benchmark, define_flags)
