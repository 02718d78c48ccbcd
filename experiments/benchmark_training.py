"""Times training: steps per second, what a dispatch costs, and growth with columns and batch.

    python experiments/benchmark_training.py --columns=64,256,1024 --batches=64,256,1024 \\
        --record=training.json

"dispatch" rows run the same steps, --steps_per_call by --steps_per_call, on the first count of code
columns; a single step per call pays for its dispatch alone, and the record says what share that
is at --train.steps_per_call steps, by a fit of a + b / steps. "columns" and "batches" rows run
--steps_of_columns steps per call. All devices are used. The table is simulated. share_of_peak is
the arithmetic of the network forwards and backwards over a measured matrix product, and
share_of_bandwidth the bytes that it moves, by XLA's estimate, over a measured triad; compile_s is
the first call less a later one; host_gb is what the process grew by at its peak, device_gb what the
program takes on each device: state, table, rows and working memory. On a GPU the table "kernels"
says where the first case of "dispatch" spends its time.
"""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _results import define_record_flag
from _tables import report
from _timing import describe_limits, fit_slope, share_of_dispatch
from _training_times import time_training
from absl import flags

from synthdiff.config import Config
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_numbers("columns", "64,256,1024", "code columns of the simulated cohort")
    define_numbers("steps_per_call", "1,10,100", "steps per dispatch to compare")
    define_numbers("batches", "", "records per step to compare, on the first count of columns")
    flags.DEFINE_integer(
        "steps_of_columns", 2, "steps per dispatch where columns or batches are compared"
    )
    flags.DEFINE_integer("repeats", 10, "timed calls of each case", lower_bound=1)
    define_record_flag("training.json")


def benchmark(run_dir: Path) -> None:
    jax.config.update("jax_enable_compilation_cache", False)  # else compile times are of the disk
    started = time.time()
    config = Config(read_config("model", ModelConfig), train=read_config("train", TrainConfig))
    columns, batch = [int(text) for text in FLAGS.columns], config.train.batch_size
    limits, kernels = describe_limits(config.model.dtype), []

    @cache  # the base belongs to every sweep and is measured once
    def measure(count: int, steps: int, batch: int) -> dict:
        case = replace(config, train=replace(config.train, batch_size=batch))
        return time_training(count, steps, case, limits, FLAGS.repeats, kernels)

    dispatch = [measure(columns[0], int(steps), batch) for steps in FLAGS.steps_per_call]
    several, sweep = columns if len(columns) > 1 else [], FLAGS.steps_of_columns
    wide = [measure(count, sweep, batch) for count in several]
    batches = [measure(columns[0], sweep, int(size)) for size in FLAGS.batches]
    facts = {"dtype": config.model.dtype, **limits}
    pairs = [(row["steps_per_call"], row["step_s"]) for row in dispatch]
    facts |= share_of_dispatch(*zip(*pairs, strict=True), config.train.steps_per_call)
    for name in ("step_s", "host_gb", "device_gb") if wide else ():
        slope = fit_slope([row["columns"] for row in wide], [row[name] for row in wide])
        facts[f"slope of {name} in columns"] = slope
    facts["wall_seconds"] = round(time.time() - started)
    tables = {"dispatch": dispatch, "columns": wide, "batches": batches, "kernels": kernels}
    report(run_dir / "training.json", "Speed of training", facts, tables)


if __name__ == "__main__":
    run_script(benchmark, define_flags)
