import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.utility import predict_target, score_utility

SCHEMA = Schema(
    (Column("x", "continuous"), Column("sex", "categorical"), Column("y", "categorical")),
    target="y",
)


def _table(rng, rows):
    x, sex = rng.normal(size=rows), rng.integers(0, 2, rows)
    noisy = x + sex + 0.3 * rng.normal(size=rows)
    return pd.DataFrame({"x": x, "sex": sex, "y": np.digitize(noisy, [0.0, 1.0])})


def _score(train, test, synthetic, schema):
    sources = {"train": train, "synthetic": synthetic}
    return score_utility(predict_target(sources, test, schema, 0))


def _run(synthetic, schema=SCHEMA):
    rng = np.random.default_rng(0)
    return _score(_table(rng, 600), _table(rng, 400), synthetic, schema)


def test_fresh_rows_lose_little_and_shuffled_targets_lose_all():
    rng = np.random.default_rng(1)
    fresh = _table(rng, 600)
    result = _run(fresh)
    assert result["task"] == "classification"
    assert set(result["models"]) == {"logistic_regression", "random_forest", "gradient_boosting"}
    assert result["mean"]["trtr"]["auroc"] > 0.9
    assert abs(result["mean"]["gap_points"]["auroc"]) < 3
    shuffled = _run(fresh.assign(y=rng.permutation(fresh["y"].to_numpy())))
    assert shuffled["mean"]["gap_points"]["auroc"] > 30


def test_gap_is_positive_where_synthetic_is_worse_and_in_points():
    for model in _run(_table(np.random.default_rng(1), 60))["models"].values():
        for name in ("accuracy", "auroc"):
            expected = 100 * (model["trtr"][name] - model["tstr"][name])
            assert model["gap_points"][name] == pytest.approx(expected)


def test_class_absent_from_synthetic_has_probability_zero():
    """Its one-against-rest area is exactly 1/2, and the others can still be ranked."""
    synthetic = _table(np.random.default_rng(1), 600)
    result = _run(synthetic[synthetic["y"] != 2])
    full = result["models"]["logistic_regression"]
    assert full["tstr"]["auroc"] < full["trtr"]["auroc"] - 0.1
    one_class = _run(synthetic[synthetic["y"] == 1])
    assert one_class["mean"]["tstr"]["auroc"] == 0.5


def test_target_of_another_dtype_is_the_same_target():
    synthetic = _table(np.random.default_rng(1), 600)
    assert _run(synthetic) == _run(synthetic.astype({"y": float}))


def test_numeric_target_is_a_regression():
    schema = Schema((Column("x", "continuous"), Column("y", "continuous")), target="y")
    rng = np.random.default_rng(0)

    def table(rows):
        x = rng.normal(size=rows)
        return pd.DataFrame({"x": x, "y": 3 * x + rng.normal(size=rows)})

    synthetic = table(500)
    synthetic.loc[:100, "y"] = np.nan
    result = _score(table(500), table(2000), synthetic, schema)
    assert result["task"] == "regression"
    ridge = result["models"]["ridge_regression"]
    assert ridge["trtr"]["r2"] == pytest.approx(0.9, abs=0.02)
    assert ridge["trtr"]["rmse"] == pytest.approx(1.0, abs=0.06)
    assert set(ridge["gap_points"]) == {"r2"}
    assert abs(ridge["gap_points"]["r2"]) < 1


@pytest.mark.parametrize(
    ("schema", "change", "reason"),
    [
        (Schema(SCHEMA.columns), {}, "names no target"),
        (SCHEMA, {"y": None}, "fewer than 20 synthetic rows"),
        (Schema(SCHEMA.columns[2:], target="y"), {}, "besides the target"),
    ],
)
def test_skips_with_a_reason(schema, change, reason):
    synthetic = _table(np.random.default_rng(1), 100).assign(**change)
    assert reason in _run(synthetic, schema)["skipped"]
