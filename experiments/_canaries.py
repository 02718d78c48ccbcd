"""Canaries of a private run as planned: their traces, and the bound by its trade-off curves."""

import numpy as np
from scipy.optimize import brentq

from synthdiff.eval.epsilon import rejects_curve
from synthdiff.train.dp import GradientPlan
from synthdiff.train.privacy_engine import compute_epsilon, make_event, make_tradeoff

LEAST_SIGMA, MOST_SIGMA, STEP = 0.5, 1e3, 0.02  # where curves are sought; less noise takes minutes


def simulate_traces(
    plan: GradientPlan, included: np.ndarray, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """What `run_canaries` finds if all is as planned but for `noise` times as much of it."""
    shape = (plan.num_steps, len(included))
    moves = included * (rng.random(shape) < plan.rate) + noise * plan.sigma * rng.normal(size=shape)
    return np.cumsum(moves, axis=0) * plan.clip_norm / plan.expected_batch


def bound_by_plan(
    plan: GradientPlan, delta: float, correct: int, guesses: int, canaries: int, alpha: float
) -> float:
    """The epsilon of such steps with the least noise for which the guesses were too good."""

    def gap(log_noise: float) -> float:
        curve = make_tradeoff(plan.sigma * np.exp(log_noise), plan.rate, plan.num_steps)
        return rejects_curve(correct, guesses, canaries, curve, alpha)

    least, most = float(np.log(LEAST_SIGMA / plan.sigma)), float(np.log(MOST_SIGMA / plan.sigma))
    if gap(most) <= 0:
        return 0.0
    log_noise = least if gap(least) > 0 else brentq(gap, least, most, xtol=STEP)
    event = make_event(plan.sigma * np.exp(log_noise + STEP), plan.rate, plan.num_steps)
    return compute_epsilon(event, delta)
