import json

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.diversity import evaluate_diversity, presence
from synthdiff.eval.utility import Predictions

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("dx", "categorical"),
        Column("drug", "categorical"),
        Column("age", "continuous"),
        Column("codes", "code_set"),
    )
)
NONE = {"skipped": "no model"}


def _draw(seed, rows=3000):
    """Level r0 to r9 of dx in 0.6% of rows each; code R in 0.8%; drug follows dx."""
    rng = np.random.default_rng(seed)
    dx = rng.choice([*(f"r{i}" for i in range(10)), "a", "b"], rows, p=[0.006] * 10 + [0.6, 0.34])
    return pd.DataFrame(
        {
            "patient": np.arange(rows) + seed * 100_000,
            "dx": dx,
            "drug": np.where(dx == "a", "none", np.where(rng.random(rows) < 0.5, "x", "y")),
            "age": rng.uniform(20, 80, rows),
            "codes": np.where(rng.random(rows) < 0.008, "I10;R", "I10"),
        }
    )


def _evaluate(synthetic, predictions=NONE):
    return evaluate_diversity(_draw(1), _draw(2), synthetic, SCHEMA, predictions)


def test_presence_is_the_mean_over_random_parts():
    rng = np.random.default_rng(0)
    counts, total, rows = np.array([0, 1, 4, 20]), 100, 30
    owner = np.repeat([0, 1, 2, 3, -1], [0, 1, 4, 20, 75])
    drawn = np.zeros(4)
    for _ in range(3000):
        part = rng.permutation(owner)[:rows]
        drawn[np.unique(part[part >= 0])] += 1
    assert presence(counts, total, rows) == pytest.approx(drawn / 3000, abs=0.03)
    assert presence(counts, total, rows)[1] == pytest.approx(0.3)


def test_fresh_rows_reach_the_floor_everywhere():
    result = _evaluate(_draw(3))
    assert result["rare_levels"]["levels"] == 11
    for measure, tolerance in (("distinct_rows", 0.02), ("pair_coverage", 0.02)):
        assert result[measure]["synthetic"] == pytest.approx(
            result[measure]["floor"], abs=tolerance
        )
    rare = result["rare_levels"]
    assert rare["synthetic"]["recall"] == rare["floor"]["recall"] == pytest.approx(1, abs=1e-3)
    assert rare["synthetic"]["prevalence_ratio"] == pytest.approx(1, abs=0.2)
    json.dumps(result, allow_nan=False)


def test_dropped_rare_levels_lower_recall_and_prevalence():
    synthetic = _draw(3)
    gone = synthetic["dx"].isin([f"r{i}" for i in range(5)])
    result = _evaluate(synthetic.assign(dx=synthetic["dx"].mask(gone, "a")))["rare_levels"]
    assert result["synthetic"]["recall"] == pytest.approx(6 / 11, abs=1e-3)
    assert result["floor"]["recall"] == pytest.approx(1, abs=1e-3)
    assert 0.4 < result["synthetic"]["prevalence_ratio"] < 0.7


def test_a_larger_table_does_not_score_better_by_size():
    few = _draw(3, rows=12_000)
    once = few["dx"].eq("r0") & few["dx"].eq("r0").cumsum().gt(1)
    many = few.assign(dx=few["dx"].mask(once, "a"))  # r0 in 1 of 12,000 rows
    recall = _evaluate(many)["rare_levels"]["synthetic"]["recall"]
    assert recall == pytest.approx((10 + 3000 / 12_000) / 11, abs=1e-3)


def test_repeated_rows_are_not_distinct():
    synthetic = _draw(3)
    half = pd.concat([synthetic.head(1500)] * 2, ignore_index=True)
    result = _evaluate(half)["distinct_rows"]
    assert result["synthetic"] == pytest.approx(0.5) and result["floor"] > 0.99


def test_a_collapsed_column_covers_fewer_pairs():
    result = _evaluate(_draw(3).assign(drug="none"))["pair_coverage"]
    assert result["synthetic"] < 0.75 < 0.95 < result["floor"]


def test_recall_of_the_rarest_class_with_enough_patients():
    truth = np.repeat([0, 1, 2], [60, 30, 5])  # class 2 has too few patients
    perfect = np.eye(3)[truth]
    blind = np.tile([1.0, 0.0, 0.0], (95, 1))
    models = {"one": {"train": perfect, "synthetic": blind}}
    predictions = Predictions("dx", ("a", "b", "c"), np.arange(95), truth, models)
    found = _evaluate(_draw(3), predictions)["minority_class"]
    assert found == {"class": "b", "share": pytest.approx(30 / 95), "synthetic": 0.0, "floor": 1.0}


def test_a_table_of_numbers_has_no_levels():
    schema = Schema((Column("x", "continuous"),))
    tables = [pd.DataFrame({"x": np.random.default_rng(i).normal(size=50)}) for i in range(3)]
    result = evaluate_diversity(*tables, schema, NONE)
    for part in ("rare_levels", "minority_class", "pair_coverage"):
        assert result[part]["skipped"]
