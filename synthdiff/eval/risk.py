"""How often an attack succeeds beyond what it achieves on people the generator never saw."""

from __future__ import annotations

import numpy as np
from scipy.stats import fisher_exact

from synthdiff.eval.statistics import interval, wilson_interval

MIN_ATTEMPTS = 30


def residual_risk(successes: int, attempts: int, control: int, control_attempts: int) -> dict:
    """R = (r_a - r_c) / (1 - r_c) with a 95% interval: what the attack owes to the training data.

    R = 1 - (1 - r_a) / (1 - r_c), so its interval is that of a ratio of two independent
    proportions (MOVER from Wilson limits, Donner and Zou 2012). Unlike the delta method it keeps
    its coverage near rates of 0 and 1. R is negative where the control does better by chance.
    Skipped where the attack succeeds on nearly every control, which leaves nothing to reveal.
    """
    missed = wilson_interval(attempts - successes, attempts)
    spared = wilson_interval(control_attempts - control, control_attempts)
    first, second = missed["value"], spared["value"]
    below = spared["upper"] * (2 * second - spared["upper"])
    above = spared["lower"] * (2 * second - spared["lower"])
    if below <= 0:
        return {"skipped": "the attack succeeds on nearly everyone the generator never saw"}

    def ratio(limit: float, other: float, sign: int) -> float:
        spread = (first * second) ** 2 - limit * (2 * first - limit) * other
        return (first * second + sign * np.sqrt(max(spread, 0.0))) / other

    return interval(
        1 - first / second,
        1 - ratio(missed["upper"], above, 1),
        1 - ratio(missed["lower"], below, -1),
    )


def describe_rates(counts: tuple[int, int, int, int], baseline: dict | float) -> dict:
    """The record of one attack. counts: successes and attempts on patients of the training data,
    then the same on held-out patients. baseline: rate of guessing, exact or with its interval.
    p_value: one-sided, Fisher, of "more successes than on held-out patients".
    """
    few = min(counts[1], counts[3])
    if few < MIN_ATTEMPTS:
        return {"skipped": f"{few} attempts on a side, fewer than {MIN_ATTEMPTS}"}
    rate = wilson_interval(*counts[:2])
    if not isinstance(baseline, dict):
        baseline = interval(baseline, baseline, baseline)
    table = [[counts[0], counts[1] - counts[0]], [counts[2], counts[3] - counts[2]]]
    return {
        "attempts": counts[1],
        "control_attempts": counts[3],
        "attack": rate,
        "baseline": baseline,
        "control": wilson_interval(*counts[2:]),
        "residual": residual_risk(*counts),
        "beats_guessing": bool(rate["lower"] > baseline["value"]),
        "p_value": float(fisher_exact(table, alternative="greater").pvalue),
    }


def compare_rates(attack: np.ndarray, control: np.ndarray, baseline: dict | float) -> dict:
    """The record of one attack from its successes, bool per attempt; an attempt is one patient.

    attack: on patients of the training data. control: the same attack on held-out patients.
    """
    counts = (int(attack.sum()), len(attack), int(control.sum()), len(control))
    return describe_rates(counts, baseline)
