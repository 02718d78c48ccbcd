"""Intervals over models and patients: their coverage, and what a bootstrap of rows would miss."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data.infer import infer_schema
from synthdiff.eval.several_models import attack_models, crossed_interval, crossed_share
from synthdiff.eval.statistics import auc, auc_interval

MODELS, PATIENTS = 6, 150


def draw_scores(rng, shift=0.3, models=MODELS, spread=0.2):
    """Scores of which a part is the patient's own in every model; the shift differs by model."""
    own = [rng.normal(size=PATIENTS) for _ in range(2)]
    shifts = rng.normal(shift, spread, (models, 1))
    members, others = (o + rng.normal(size=(models, PATIENTS)) for o in own)
    return members + shifts, others


def expected_auc(shift=0.3, spread=0.2):
    return stats.norm.cdf(shift / np.sqrt(4 + spread**2))


def test_no_member_found_in_any_model_is_not_proof_of_none():
    found = crossed_share((np.zeros((3, 100)), np.zeros((3, 100))), rng=np.random.default_rng(0))
    assert (found["value"], found["lower"]) == (0, 0)
    assert found["upper"] == pytest.approx(1 - 0.025 ** (1 / 100))


def test_intervals_hold_the_truth_and_those_of_pooled_rows_do_not():
    crossed, pooled, runs = 0, 0, 60
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        sides = draw_scores(rng)
        found = crossed_interval(auc, sides, rng=rng, repeats=150)
        crossed += found["lower"] <= expected_auc() <= found["upper"]
        flat = auc_interval(*(side.ravel() for side in sides))
        pooled += flat["lower"] <= expected_auc() <= flat["upper"]
    assert crossed >= 0.88 * runs  # 95 % less three standard errors
    assert pooled < 0.75 * runs  # power: rows that are not independent, taken as if they were


def test_three_models_that_differ_much_are_enough_for_coverage():
    """Where the models' own spread decides, which three of them show too small in most studies."""
    held, without, runs = 0, 0, 100
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        sides = draw_scores(rng, models=3, spread=0.6)
        truth = expected_auc(spread=0.6)
        found = crossed_interval(auc, sides, rng=rng, repeats=40)
        held += found["lower"] <= truth <= found["upper"]
        values = [auc(*pair) for pair in zip(*sides, strict=True)]
        margin = 1.96 * np.std(values) / np.sqrt(3)
        without += abs(np.mean(values) - truth) <= margin
    assert held >= 0.89 * runs  # 95 % less three standard errors
    assert without < 0.85 * runs  # power: neither Student's t nor M / (M - 1)


def test_one_model_and_equal_models_agree_with_the_auc():
    rng = np.random.default_rng(0)
    members, others = draw_scores(rng, models=1)
    found = crossed_interval(auc, (members, others), rng=rng)
    twice = crossed_interval(auc, (members.repeat(2, 0), others.repeat(2, 0)), rng=rng)
    assert found["value"] == twice["value"] == pytest.approx(auc(members[0], others[0]))
    delong = auc_interval(members[0], others[0])
    assert found["lower"] == pytest.approx(delong["lower"], abs=0.02)
    assert twice["upper"] == pytest.approx(delong["upper"], abs=0.02)


def test_rows_must_be_models():
    with pytest.raises(InputError, match="one row per model"):
        crossed_interval(auc, (np.zeros(3), np.zeros(3)), rng=np.random.default_rng(0))


def test_models_that_copy_are_found_and_fresh_ones_are_not():
    rng = np.random.default_rng(3)

    def people(count):
        return pd.DataFrame(rng.normal(size=(count, 4)).round(3), columns=list("abcd"))

    parts = {"train": people(200), "test": people(200), "reference": people(200)}
    schema = infer_schema(parts["train"])
    leaky = [pd.concat([parts["train"][:100], people(100)]) for _ in range(2)]
    found = attack_models(parts, leaky, schema)
    assert found["distance"]["tpr_at_1pct_fpr"]["lower"] > 0.3
    clean = attack_models(parts, [people(200) for _ in range(4)], schema)
    assert all(0.38 < attack["auc"]["lower"] < 0.5 for attack in clean.values())
    assert all(attack["auc"]["upper"] > 0.5 for attack in clean.values())
