"""Measures weak and strong scaling of training over the first 1, 2, 4, ... devices.

    python experiments/benchmark_scaling.py --devices=1,2,4,8 --record=scaling.json

Weak: --train.batch_size records on every device; strong: over all. On accelerators, efficiency is
records per second and device over those of one device. On a CPU the devices are made up and share
the same cores, so it is records per second over those of one device: 1 says that parting the work
costs nothing, and says nothing of a gain. cost_model.py predicts real chips.
"""

import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
from _cases import encode_cohort, make_advance
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _results import define_record_flag
from _tables import report
from _timing import measure_calls
from absl import flags

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.layout import Records
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig


def time_step(config: Config, data: Records, codec: Codec, devices: list, batch: int) -> float:
    """Seconds of a step with `batch` records over these devices."""
    trained = replace(config, train=replace(config.train, batch_size=batch))
    advance = make_advance(trained, data, codec.layout, FLAGS.steps, devices)
    return measure_calls(advance, FLAGS.repeats)["p50_s"] / FLAGS.steps


def measure_scaling(config: Config, data: Records, codec: Codec, counts: list[int]) -> list[dict]:
    """One row per kind of scaling and number of devices."""
    devices, shared = jax.local_devices(), jax.default_backend() == "cpu"
    measure = cache(lambda n, batch: time_step(config, data, codec, devices[:n], batch))
    tables = []
    for scaling in ("weak", "strong"):
        rows = []
        for count in counts:
            batch = config.train.batch_size * (count if scaling == "weak" else 1)
            step = measure(count, batch)
            row = {"scaling": scaling, "devices": count, "batch": batch, "step_s": step}
            rows.append(row | {"records_per_s": batch / step})
            print(rows[-1], flush=True)
        tables += add_efficiency(rows, shared)
    return tables


def add_efficiency(rows: list[dict], shared: bool) -> list[dict]:
    """Records per second over the first row's, per device unless the devices share their cores."""
    rates = [row["records_per_s"] / (1 if shared else row["devices"]) for row in rows]
    return [row | {"efficiency": rate / rates[0]} for row, rate in zip(rows, rates, strict=True)]


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_numbers("devices", "1,2,4,8", "how many devices to compare")
    flags.DEFINE_integer("columns", 64, "code columns of the simulated cohort")
    flags.DEFINE_integer("steps", 5, "steps per dispatch")
    flags.DEFINE_integer("repeats", 5, "timed calls of each case", lower_bound=1)
    define_record_flag("scaling.json")


def benchmark(run_dir: Path) -> None:
    counts, started = sorted(map(int, FLAGS.devices)), time.time()
    jax.config.update("jax_num_cpu_devices", counts[-1])  # accelerators stay as many as they are
    if counts[-1] > len(jax.local_devices()):
        fix = f"use at most {len(jax.local_devices())}"
        raise input_error(f"--devices={counts[-1]}", "more than there are", fix)
    config = Config(read_config("model", ModelConfig), train=read_config("train", TrainConfig))
    data, codec = encode_cohort(FLAGS.columns)
    rows = measure_scaling(config, data, codec, counts)
    shared = jax.default_backend() == "cpu"
    facts = {"model": config.model.name, "columns": FLAGS.columns}
    facts["devices"] = "made up, sharing the same cores" if shared else "real"
    facts["wall_seconds"] = round(time.time() - started)
    report(run_dir / "scaling.json", "Scaling over devices", facts, {"devices": rows})


if __name__ == "__main__":
    run_script(benchmark, define_flags)
