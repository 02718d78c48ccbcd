"""What training costs on many chips: a written model of one step.

    python experiments/cost_model.py --columns=64 --train.batch_size=4096 --chips=1,4,16,64,256

One step on n chips, b records on each, P parameters, F operations per record, R bytes reduced:

    compute = b F / (reached * peak)             each chip's share of the batch
    update  = 10 * 4 P / memory_bandwidth        Adam and the average on every chip: gradient read
                                                 twice; weights, average and two moments read and
                                                 written
    reduce  = 2 (n - 1) / n * R / link + 2 (n - 1) * latency    ring all-reduce (Patarasuk and Yuan
                                                 2009, J. Parallel Distrib. Comput. 69(2))
    step    = compute + update + reduce          nothing overlaps, since the reduction is the last
                                                 thing that backpropagation feeds

Weak scaling holds b, strong scaling holds n b. Efficiency is records per second and chip over those
of one chip. Sampling sends nothing; what it loses is the padding of the last blocks.

Peak, bandwidths and latency are flags; the defaults are vendor figures of a TPU v5e (bfloat16 peak
and one ring of links) and are not measured here. benchmark_scaling.py measures on real devices, and
benchmark_training.py what share of the peak is reached.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
from _cases import encode_cohort
from _common import FLAGS, define_config_flags, read_config, run_script
from _tables import Panel, report
from _timing import count_gradient
from absl import flags

from synthdiff.config import Config
from synthdiff.layout import Layout
from synthdiff.models.config import ModelConfig, count_params, make_network
from synthdiff.sampling import choose_block
from synthdiff.train.optim import TrainConfig

UPDATE_PASSES = 10  # arrays as large as the weights that one update reads or writes
PANELS = [
    Panel("predicted", "chips", "efficiency", "scaling"),
    Panel("predicted", "chips", "step_s", "scaling"),
]


@dataclass(frozen=True)
class Chip:
    """peak: FLOP/s. reached: share of it in training. memory, link: bytes/s. latency: s per hop."""

    peak: float = 197e12
    reached: float = 0.3
    memory: float = 819e9
    link: float = 90e9
    latency: float = 1e-6


@dataclass(frozen=True)
class Work:
    """flops: per record, forwards and backwards. parameters: count. reduced: bytes per step."""

    flops: float
    parameters: int
    reduced: float


def count_work(config: Config, layout: Layout) -> Work:
    """The work of a step: the all-reduce carries gradients, the loss and its term per part."""
    init_fn, _ = make_network(config.model, layout)
    parameters = count_params(jax.eval_shape(init_fn, jax.random.key(0)))
    numbers = parameters + 1 + len(layout.part_names)
    return Work(count_gradient(config, layout, 64) / 64, parameters, 4.0 * numbers)


def predict_step(work: Work, chip: Chip, records: float, chips: int) -> dict[str, float]:
    """Seconds of the three stages of a step with `records` on each of `chips` chips."""
    sent = 2.0 * (chips - 1) / chips * work.reduced
    stages = {
        "compute_s": records * work.flops / (chip.reached * chip.peak),
        "update_s": UPDATE_PASSES * 4.0 * work.parameters / chip.memory,
        "reduce_s": sent / chip.link + 2 * (chips - 1) * chip.latency,
    }
    return stages | {"step_s": sum(stages.values()), "sent_mb": sent / 1e6}


def predict_efficiency(work: Work, chip: Chip, batch: int, chips: int, scaling: str) -> dict:
    """One row; weak: `batch` records on every chip, strong: `batch` over all."""
    records = batch if scaling == "weak" else batch / chips
    step, alone = (predict_step(work, chip, r, n) for r, n in ((records, chips), (batch, 1)))
    efficiency = records / step["step_s"] / (batch / alone["step_s"])
    return {"scaling": scaling, "chips": chips, "batch": records * chips, **step,
            "efficiency": efficiency}  # fmt: skip


def sampling_efficiency(rows: int, chips: int, block: int) -> float:
    """Share of the drawn records that are kept: every chip draws whole blocks."""
    return rows / (chips * block * math.ceil(rows / (chips * block)))


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_config_flags("chip", Chip)
    flags.DEFINE_integer("columns", 64, "code columns of the simulated cohort")
    flags.DEFINE_list("chips", ["1", "4", "16", "64", "256"], "chips to predict for")
    flags.DEFINE_integer("rows", 1_000_000, "rows to sample in the prediction")
    flags.DEFINE_string("record", None, "record file; default cost_model.json in the run folder")


def predict(run_dir: Path) -> None:
    config = Config(read_config("model", ModelConfig), train=read_config("train", TrainConfig))
    layout = encode_cohort(FLAGS.columns)[1].layout
    work, block = count_work(config, layout), choose_block(layout, "tpu")
    chip, batch, tables = read_config("chip", Chip), config.train.batch_size, {}
    chips = [int(text) for text in FLAGS.chips]
    tables["predicted"] = [predict_efficiency(work, chip, batch, n, scaling)
                           for scaling in ("weak", "strong") for n in chips]  # fmt: skip
    tables["sampling"] = [{"chips": n, "efficiency": sampling_efficiency(FLAGS.rows, n, block)}
                          for n in chips]  # fmt: skip
    facts = {"parameters": work.parameters, "FLOP per record": work.flops}
    facts |= {"bytes reduced per step": work.reduced, **asdict(chip)}
    report(run_dir / "cost_model.json", "Cost of a step on many chips", facts, tables, PANELS)


if __name__ == "__main__":
    run_script(predict, define_flags)
