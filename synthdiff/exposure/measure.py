"""Everything that is measured on a model for the white-box audit, over all devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthdiff.diffusion.denoiser import Denoiser
from synthdiff.exposure.losses import choose_levels, make_loss_features
from synthdiff.exposure.probes import (
    make_gradient_norms,
    make_pia_error,
    make_pseudo_likelihood,
    make_secmi_error,
)
from synthdiff.layout import Records
from synthdiff.train.parallel import make_parallel_map

BLOCK = 256
NUM_LEVELS = 16
SMALLEST = 1e-12
PIA_LEVELS = (0.0, 2.0, 4.0)
SECMI_PATH = (9.0, 6.0, 4.0, 2.0, 1.0)
GRADIENT_LEVELS = (2.0,)  # per-record gradients cost most: each writes all of the weights


def make_measure_losses(denoiser: Denoiser, *, num_noises: int) -> Callable:
    """Builds `run(params, records) -> losses [n, levels, noises, 2]`, compiled once for all params.

    Cost: NUM_LEVELS times noises forward passes per record.
    """
    levels = choose_levels(denoiser.schedule, NUM_LEVELS)
    run = make_parallel_map(make_loss_features(denoiser, log_snrs=levels, num_noises=num_noises))
    return lambda params, records: run(params, records, 0, len(records.continuous), BLOCK)


def measure_probes(denoiser: Denoiser, params: dict, records: Records) -> dict[str, np.ndarray]:
    """Scores [n] of the attacks that need no shadow model: minus log errors, and minus nats.

    "pia" and "secmi" see numbers, "pseudo_likelihood" sees categories; each is left out where the
    table has none. "gradient" sees both: the norm of a record's own gradient, over all layers.
    """
    layout, schedule = denoiser.layout, denoiser.schedule

    def run(fn: Callable) -> np.ndarray:
        return make_parallel_map(fn)(params, records, 0, len(records.continuous), BLOCK)

    def within(levels: tuple[float, ...]) -> list[float]:
        return np.clip(levels, schedule.log_snr_min, schedule.log_snr_max).tolist()

    def score(errors: np.ndarray) -> np.ndarray:
        return -np.log(errors.astype(np.float64) + SMALLEST)

    norms = run(make_gradient_norms(denoiser, log_snrs=within(GRADIENT_LEVELS)))
    scores = {"gradient": score((norms**2).sum(axis=-1)).mean(axis=-1)}
    if layout.num_continuous:
        scores["pia"] = score(run(make_pia_error(denoiser, within(PIA_LEVELS)))).mean(axis=-1)
        scores["secmi"] = score(run(make_secmi_error(denoiser, within(SECMI_PATH))))
    if layout.num_categorical:
        scores["pseudo_likelihood"] = -run(make_pseudo_likelihood(denoiser))
    return scores
