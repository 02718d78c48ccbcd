"""Measures weak and strong scaling of training and sampling over the first 1, 2, 4, ... devices.

    python experiments/benchmark_scaling.py --devices=1,2,4,8 --record=scaling.json

Weak: --train.batch_size records on every device, or one block of sampling; strong: that batch over
all, or as many blocks as the most devices take. Sampling is with --nfe evaluations per record. On
accelerators, efficiency is records per second and device over those of one device. On a CPU the
devices are made up and share the same cores, so it is records per second over those of one device:
1 says that parting the work costs nothing, and says nothing of a gain. cost_model.py predicts real
chips.
"""

import time
from functools import partial
from pathlib import Path

import jax
from _cases import build_model, encode_cohort
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _results import define_record_flag
from _scaling_times import measure_scaling, time_draw, time_step
from _tables import report
from absl import flags

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import choose_block
from synthdiff.train.optim import TrainConfig


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_numbers("devices", "1,2,4,8", "how many devices to compare")
    flags.DEFINE_integer("columns", 64, "code columns of the simulated cohort")
    flags.DEFINE_integer("steps", 5, "steps per dispatch")
    flags.DEFINE_integer("nfe", 8, "network evaluations per record that is drawn", lower_bound=1)
    flags.DEFINE_integer("repeats", 10, "timed calls of each case", lower_bound=1)
    define_record_flag("scaling.json")


def benchmark(run_dir: Path) -> None:
    counts, started = sorted(map(int, FLAGS.devices)), time.time()
    jax.config.update("jax_num_cpu_devices", counts[-1])  # accelerators stay as many as they are
    if counts[-1] > len(jax.local_devices()):
        fix = f"use at most {len(jax.local_devices())}"
        raise input_error(f"--devices={counts[-1]}", "more than there are", fix)
    config = Config(read_config("model", ModelConfig), train=read_config("train", TrainConfig))
    data, codec = encode_cohort(FLAGS.columns)
    batch, block = config.train.batch_size, choose_block(codec.layout)
    trained = partial(time_step, config, data, codec, FLAGS.steps, FLAGS.repeats)
    sampler = SamplerConfig(num_steps=FLAGS.nfe)
    drawn = partial(time_draw, build_model(codec, config), sampler, block, FLAGS.repeats)
    tables = {
        name: measure_scaling(measure, {"weak": per_device, "strong": over_all}, counts)
        for name, measure, per_device, over_all in (
            ("devices", trained, lambda count: batch * count, lambda _: batch),
            ("sampling", drawn, lambda count: block * count, lambda _: block * counts[-1]),
        )
    }
    shared = jax.default_backend() == "cpu"
    facts = {"model": config.model.name, "columns": FLAGS.columns}
    facts["devices"] = "made up, sharing the same cores" if shared else "real"
    facts["wall_seconds"] = round(time.time() - started)
    report(run_dir / "scaling.json", "Scaling over devices", facts, tables)


if __name__ == "__main__":
    run_script(benchmark, define_flags)
