"""Canaries of private gradients: claim and bounds, also where all is as planned."""

import time
from functools import partial

import numpy as np
from scipy.optimize import brentq

from synthdiff.data.batches import poisson_batches
from synthdiff.eval.epsilon import audit_claim, rejects_curve
from synthdiff.train.canaries import run_canaries, score_canaries
from synthdiff.train.dp import DpConfig, GradientPlan
from synthdiff.train.privacy_engine import compute_epsilon, make_event, make_tradeoff

LEAST_SIGMA, MOST_SIGMA, STEP = 0.5, 1e3, 0.02  # where curves are sought; less noise takes minutes


def audit_gradients(
    dp: DpConfig, plan: GradientPlan, canaries: int, alpha: float, secret: int
) -> dict:
    """Claim and bounds of the gradients of one private run; coins and noise are the secret's."""
    rng = np.random.default_rng([secret, 1])
    included = rng.random(canaries) < 0.5
    seed = (secret, 0)
    samples = poisson_batches(
        int(included.sum()), plan.rate, plan.capacity, seed, 0, plan.num_steps
    )
    started = time.monotonic()
    event = make_event(plan.sigma, plan.rate, plan.num_steps)
    claimed = compute_epsilon(event, dp.delta)

    def find_bound(traces: np.ndarray) -> float:
        scores, by_curve = score_canaries(traces, plan), partial(bound_by_plan, plan, dp.delta)
        found = [
            audit_claim(each, included, claimed, dp.delta, alpha / len(scores), by_curve)
            for each in scores.values()
        ]
        return max(bound for each in found for bound in each["lower_bounds"].values())

    bound = find_bound(run_canaries(dp, plan, samples, included, secret))
    ideal, third = (
        find_bound(simulate_traces(plan, included, noise, rng)) for noise in (1.0, 1 / 3)
    )
    return describe_bounds(
        "gradients",
        claimed,
        (bound, ideal, third),
        (plan.sigma, plan.rate, plan.num_steps),
        canaries,
        started,
    )


def describe_bounds(
    release: str,
    claimed: float,
    bounds: tuple[float, float, float],
    noise: tuple[float, float, int],
    canaries: int,
    started: float,
) -> dict:
    """One row of the record. bounds: found, if all is as claimed, and at a third of the noise.

    noise: its multiplier, the sampling rate and the number of steps.
    """
    return {
        "release": release,
        "claimed epsilon": claimed,
        "lower bound": bounds[0],
        "contradicted": bool(bounds[0] > claimed),
        "bound if all is as claimed": bounds[1],
        "bound at a third of the noise": bounds[2],
        "noise multiplier": noise[0],
        "sampling rate": noise[1],
        "steps": noise[2],
        "canaries": canaries,
        "seconds": round(time.monotonic() - started, 1),
    }


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
