"""Everything that decides a run, beside the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from synthdiff.diffusion.denoiser import Denoiser
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout
from synthdiff.models.config import ModelConfig, make_network
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig


@dataclass(frozen=True)
class Config:
    """The settings of network, noise, training, sampling and privacy.

    min_patients: a category, spike or quantile that fewer patients share is not learnt as such.
    start: sha256 of the weights that training began with; "" for random ones. teacher: sha256 of
    the drawn records that a student learns from; "" for a table.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    schedule: Schedule = field(default_factory=Schedule)
    train: TrainConfig = field(default_factory=TrainConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    min_patients: int = 5
    dp: DpConfig = field(default_factory=DpConfig)
    start: str = ""
    teacher: str = ""

    def make_denoiser(self, layout: Layout) -> tuple[Callable, Denoiser]:
        """`init_fn(key) -> params` of the network for records of this layout, and its denoiser."""
        learnable = self.schedule.learnable
        init_fn, apply_fn = make_network(self.model, layout, learnable_schedule=learnable)
        return init_fn, Denoiser(apply_fn, layout, self.schedule)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Config:
        """Inverse of `to_json`."""
        return cls(
            ModelConfig(**data["model"]),
            Schedule(**data["schedule"]),
            TrainConfig(**data["train"]),
            SamplerConfig(**data["sampler"]),
            data["min_patients"],
            DpConfig(**data.get("dp", {})),
            data.get("start", ""),
            data.get("teacher", ""),
        )
