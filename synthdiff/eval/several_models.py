"""Attacks on several models that were trained on the same patients, taken together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff._validate import input_error, positive
from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.game import set_up_game
from synthdiff.eval.membership import score_attack
from synthdiff.eval.statistics import auc, clopper_pearson, interval, tpr_at_fpr

Sides = tuple[np.ndarray, np.ndarray]  # scores [models, patients] of members and of non-members


def crossed_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    sides: Sides,
    *,
    rng: np.random.Generator,
    repeats: int = 500,
) -> dict:
    """Mean over models of statistic(members, non-members), a share, for models and patients unseen.

    Two parts of the spread, put together as the ends of a sum's interval are (MOVER, Donner and Zou
    2012). Models: Student's t of their values, as few models tell little of their spread; one tells
    nothing, and then the interval is of this model alone. Patients: a bootstrap, in which the same
    patients stand in every model, so that what makes one easy to find is not averaged away. Noise
    of patient and model together counts in both, so the interval errs on the wide side: of three
    models it held the truth in 95 to 99 of 100 simulated studies.
    """
    members, others = map(np.asarray, sides)
    if members.ndim != 2 or len(members) != len(others):
        raise input_error("scores", "not one row per model on both sides", "stack the models")
    positive(models=len(members), members=members.shape[1], nonmembers=others.shape[1])
    draws = []
    for _ in range(repeats):
        rows = [rng.integers(side.shape[1], size=side.shape[1]) for side in (members, others)]
        drawn = zip(members[:, rows[0]], others[:, rows[1]], strict=True)
        draws.append(np.mean([statistic(*pair) for pair in drawn]))
    values = [statistic(*pair) for pair in zip(members, others, strict=True)]
    value, models = float(np.mean(values)), 0.0
    if len(values) > 1:
        models = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    below, above = np.hypot(models, value - np.quantile(draws, [0.025, 0.975]))
    return interval(value, max(0.0, value - below), min(1.0, value + above))


def crossed_share(sides: Sides, *, rng: np.random.Generator) -> dict:
    """`crossed_interval` of the TPR at 1% FPR, no narrower than one model's count of members.

    A bootstrap has no width where no member is found in any model, or every member in all.
    """
    found, people = crossed_interval(tpr_at_fpr, sides, rng=rng), np.shape(sides[0])[1]
    exact = clopper_pearson(round(found["value"] * people), people)
    ends = min(found["lower"], exact["lower"]), max(found["upper"], exact["upper"])
    return interval(found["value"], *ends)


def attack_models(
    parts: dict[str, pd.DataFrame], synthetic: Sequence[pd.DataFrame], schema: Schema
) -> dict[str, dict]:
    """{attack: {"auc", "tpr_at_1pct_fpr"}} over models, one synthetic table each.

    parts: "train", "test" and "reference", the same for all models; so are the attacked patients.
    """
    scores: dict[str, list] = {name: [] for name in ATTACKS}
    for table in synthetic:
        game = set_up_game(parts | {"synthetic": table}, schema, np.random.default_rng(0))
        for name, attack in ATTACKS.items():
            found = score_attack(attack, game.members, game.nonmembers, game.view)
            scores[name].append((found.ranked, found.raw))
    rng = np.random.default_rng([0, 1])

    def stack(found: list, kind: int) -> Sides:
        members, others = zip(*(model[kind] for model in found), strict=True)
        return np.stack(members), np.stack(others)

    return {
        name: {
            "auc": crossed_interval(auc, stack(found, 0), rng=rng),
            "tpr_at_1pct_fpr": crossed_share(stack(found, 1), rng=rng),
        }
        for name, found in scores.items()
    }
