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
of one chip. Sampling sends nothing; what it loses is the padding of the last blocks. The prediction
is for tables that every chip holds whole. One of more than a GiB is cut, and each step then also
sends its batch round the ring, (n - 1) b times the bytes of an encoded record: next to nothing in
strong scaling, the most of a step in weak scaling over hundreds of chips.

Peak, bandwidths and latency are flags; the defaults are vendor figures of a TPU v5e (bfloat16 peak
and one ring of links) and are not measured here. benchmark_scaling.py measures on real devices, and
benchmark_training.py what share of the peak is reached.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from _cases import encode_cohort
from _common import FLAGS, define_config_flags, define_numbers, read_config, run_script
from _cost import Chip, count_work, predict_efficiency, sampling_efficiency
from _results import define_record_flag
from _tables import report
from absl import flags

from synthdiff.config import Config
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import choose_block
from synthdiff.train.optim import TrainConfig


def define_flags() -> None:
    define_config_flags("model", ModelConfig)
    define_config_flags("train", TrainConfig)
    define_config_flags("chip", Chip)
    flags.DEFINE_integer("columns", 64, "code columns of the simulated cohort")
    define_numbers("chips", "1,4,16,64,256", "chips to predict for")
    flags.DEFINE_integer("rows", 1_000_000, "rows to sample in the prediction")
    define_record_flag("cost_model.json")


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
    report(run_dir / "cost_model.json", "Cost of a step on many chips", facts, tables)


if __name__ == "__main__":
    run_script(predict, define_flags)
