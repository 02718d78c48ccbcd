"""The only door to jax-privacy and dp-accounting: clipped sums, and what they cost.

Both come with the extra `dp`, pinned, because their interfaces still move. jax-privacy clips and
sums; dp-accounting counts. Its auditor is not used (see synthdiff/eval/epsilon.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from synthdiff._validate import input_error

SMALLEST_SIGMA = 0.25  # with less noise an epsilon says nothing
CURVE_POINTS, CURVE_GRID = 200, 1e-3  # tangents of a trade-off curve, and its grid of losses
TOLERANCE = 1e-3  # of a noise multiplier; calibration errs on the private side


def load_package(name: str) -> Any:
    """The module, or an InputError that names the extra to install."""
    try:
        return import_module(name)
    except ImportError as error:
        problem = f"{name.partition('.')[0]} is not installed ({error})"
        fix = "pip install 'synthdiff[dp]', or leave --dp.epsilon at 0"
        raise input_error("differential privacy", problem, fix) from error


def make_clipped_sum(
    loss_fn: Callable, clip_norm: float, normaliser: float, microbatch_size: int | None = None
) -> Any:
    """Builds `f(params, places, keys, is_padding_example=...) -> clipped sum / normaliser`.

    loss_fn(params, place, key) -> scalar loss of one patient; places and keys of f have a leading
    axis of patients. Each patient's whole gradient is clipped to clip_norm, so adding or removing
    one moves the result by at most `f.sensitivity()`.
    """
    clipping = load_package("jax_privacy.clipping")
    return clipping.clipped_grad(
        loss_fn,
        l2_clip_norm=clip_norm,
        normalize_by=normaliser,
        batch_argnums=(1, 2),
        keep_batch_dim=False,
        microbatch_size=microbatch_size,
    )


def make_event(sigma: float, rate: float, num_steps: int, released: float = math.inf) -> Any:
    """Poisson-sampled Gaussian steps at noise multiplier sigma, after one Gaussian release."""
    dp = load_package("dp_accounting")
    step = dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(sigma))
    once = [dp.GaussianDpEvent(released)] if released < math.inf else []
    return dp.ComposedDpEvent([*once, *[dp.SelfComposedDpEvent(step, num_steps)] * (num_steps > 0)])


def compute_epsilon(event: Any, delta: float, method: str = "pld") -> float:
    """Epsilon at delta of an event, adjacency: add or remove one patient. method: pld or rdp."""
    accountant = _accountants()[method]()
    return float(accountant.compose(event).get_epsilon(delta))


@cache  # as below
def make_tradeoff(sigma: float, rate: float, num_steps: int) -> Callable[[float], float]:
    """f(a): the least rate of misses of whoever tells, with false alarms a, if a patient was in.

    That of Poisson-sampled Gaussian steps, from below, by its tangents: at every epsilon
    f(a) >= 1 - delta(epsilon) - e^epsilon a, and the same with a and f(a) exchanged (Dong, Roth
    and Su 2022, arXiv 1905.02383, proposition 6).
    """
    pld = load_package("dp_accounting.pld.privacy_loss_distribution")
    step = pld.from_gaussian_mechanism(
        sigma, sampling_prob=rate, value_discretization_interval=CURVE_GRID
    )
    losses = step.self_compose(num_steps)
    epsilons = np.linspace(0.0, losses.get_epsilon_for_delta(1e-9), CURVE_POINTS)
    kept = 1.0 - np.array(losses.get_delta_for_epsilon(epsilons))
    slopes = np.exp(epsilons)

    def tradeoff(alpha: float) -> float:
        return float(max(0.0, np.max(kept - slopes * alpha), np.max((kept - alpha) / slopes)))

    return tradeoff


@cache  # a pure function of numbers, and seconds long
def calibrate_sigma(
    epsilon: float, delta: float, rate: float, num_steps: int, released: float = math.inf
) -> float:
    """The smallest noise multiplier (to TOLERANCE) whose PLD epsilon is at most `epsilon`.

    released: noise multiplier of what was released before, which must leave some of the budget.
    """
    dp, accountants = load_package("dp_accounting"), _accountants()

    def gap(sigma: float) -> float:
        event = make_event(sigma, rate, num_steps, released)
        return compute_epsilon(event, delta) - epsilon

    high = max(0.5, 1.5 * rate * num_steps**0.5 / epsilon)  # near the answer: small sigma is slow
    while gap(high) > 0:
        high *= 1.5
    low = high / 1.5
    while gap(low) <= 0:
        low, high = low / 1.5, low
        if high < SMALLEST_SIGMA:
            return high
    return float(
        dp.calibrate_dp_mechanism(
            accountants["pld"],
            lambda sigma: make_event(sigma, rate, num_steps, released),
            epsilon,
            delta,
            dp.ExplicitBracketInterval(low, high),
            tol=TOLERANCE,
        )
    )


def _accountants() -> dict[str, Callable]:
    return {
        "pld": load_package("dp_accounting.pld").PLDAccountant,
        "rdp": load_package("dp_accounting.rdp").RdpAccountant,
    }
