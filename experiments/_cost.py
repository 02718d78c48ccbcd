"""What one training step costs on many chips: the model that cost_model.py explains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
from _timing import count_gradient

from synthdiff.config import Config
from synthdiff.layout import Layout
from synthdiff.models.config import count_params, make_network

UPDATE_PASSES = 10  # arrays as large as the weights that one update reads or writes


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
