import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import Featurizer
from synthdiff.eval.fidelity import evaluate_fidelity, ks_score, shape_scores, trend_scores

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("age", "integer"),
        Column("dose", "continuous"),
        Column("sex", "categorical"),
        Column("codes", "code_set"),
        Column("visit", "datetime"),
    )
)


def _table(rng, rows):
    age = rng.integers(20, 80, rows)
    dose = age / 10 + rng.normal(size=rows)
    sex = np.where(dose + rng.normal(size=rows) > 5, "F", "M").astype(object)
    sex[rng.random(rows) < 0.05] = None
    codes = np.array(["", "E11", "E11;I10", "I10;Z99", None], dtype=object)
    return pd.DataFrame(
        {
            "patient": np.arange(rows) // 2,
            "age": age,
            "dose": np.where(rng.random(rows) < 0.1, np.nan, dose),
            "sex": sex,
            "codes": codes[np.minimum(age // 16, 4)],
            "visit": pd.Timestamp("2020-01-01") + pd.to_timedelta(age * 3, unit="D"),
        }
    )


def _pair(kind_a, kind_b, a, b):
    schema = Schema((Column("a", kind_a), Column("b", kind_b)))
    real, other = (pd.DataFrame(dict(zip("ab", t, strict=True))) for t in (a, b))
    return trend_scores(real, other, schema)[0, 1]


def test_a_table_equals_itself():
    table = _table(np.random.default_rng(0), 400)
    shuffled = table.sample(frac=1, random_state=0)
    result = evaluate_fidelity(table, table, shuffled, SCHEMA)
    assert result["rate"] == result["floor"]["rate"] == pytest.approx(100)
    assert np.min(result["pairs"]["score"]) == pytest.approx(1)
    assert [c["metric"] for c in result["columns"].values()] == ["ks", "ks", "tvd", "codes", "ks"]


def test_shuffled_columns_keep_shape_and_lose_trend():
    rng = np.random.default_rng(0)
    table = _table(rng, 2000)
    shuffled = table.apply(lambda column: column.to_numpy()[rng.permutation(len(table))])
    result = evaluate_fidelity(table, _table(rng, 2000), shuffled, SCHEMA)
    assert result["shape"] == pytest.approx(100)
    assert result["trend"] < result["floor"]["trend"] - 10


def test_ks_by_hand_and_with_missing_values():
    assert ks_score(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])) == 0.5
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=300), rng.normal(0.4, 1, size=200)
    assert ks_score(a, b) == pytest.approx(1 - stats.ks_2samp(a, b).statistic)
    full, missing = np.arange(10.0), np.where(np.arange(10) < 3, np.nan, np.arange(10.0))
    assert ks_score(full, missing) == pytest.approx(0.7)
    assert ks_score(missing, np.full(5, np.nan)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("kind", "real", "other", "score"),
    [
        ("categorical", ["a", "a", "b", None], ["a", "b", "b", "c"], 0.5),
        ("categorical", [1, 1, 0, 0], [1.0, 1.0, 1.0, 0.0], 0.75),
        ("boolean", [True, False], [1, 0], 1.0),
        # p = (1, .5) for x, y and q = (.5, .5): 1 - .5 / 2.5
        ("code_set", ["x;y", "x"], ["x;y", ""], 0.8),
        ("code_set", ["x", None], ["", ""], 0.0),
        ("code_set", ["", ""], ["", ""], 1.0),
        ("datetime", ["2020-01-01", "2020-01-02"], ["2020-01-02", "2020-01-03"], 0.5),
    ],
)
def test_shape_by_hand(kind, real, other, score):
    schema = Schema((Column("a", kind),))
    found = shape_scores(pd.DataFrame({"a": real}), pd.DataFrame({"a": other}), schema)
    assert found["a"]["score"] == pytest.approx(score)


def test_trend_by_hand():
    x, y = [1.0, 2, 3, 4], [2.0, 4, 6, 8]
    assert _pair("continuous", "continuous", (x, y), (x, y[::-1])) == pytest.approx(0)
    letters = ["p", "p", "q", "q"]
    assert _pair("categorical", "categorical", (letters, letters), (letters, list("pqpq"))) == 0.5
    # Numbers are cut by the real table's range 0..10; 99 falls into its last bin.
    a, b = ([0.0, 10.0], ["p", "q"]), ([0.0, 99.0], ["p", "q"])
    assert _pair("continuous", "categorical", a, b) == 1.0
    assert _pair("continuous", "categorical", b, a) == 0.5


def test_correlation_uses_the_rows_that_have_both_and_any_scale():
    rng = np.random.default_rng(0)
    x = rng.normal(size=500) * 1e6 + 1e9
    y = x + rng.normal(size=500) * 1e6
    x[:100], y[50:150] = np.nan, np.nan
    expected = pd.DataFrame({"x": x, "y": y}).corr().loc["x", "y"]
    constant = np.ones(500)
    found = _pair("continuous", "continuous", (x, y), (constant, y))
    assert found == pytest.approx(1 - expected / 2)


def test_many_levels_take_the_sparse_path_to_the_same_number():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 300, (2, 400)) for _ in range(2))
    cells = [pd.Series(list(zip(*t, strict=True))).value_counts() / 400 for t in (a, b)]
    p, q = cells[0].align(cells[1], fill_value=0)
    expected = 1 - np.abs(p - q).sum() / 2
    assert _pair("categorical", "categorical", a, b) == pytest.approx(expected)


def test_degenerate_tables_score_or_skip():
    one = Schema((Column("a", "continuous"),))
    table = pd.DataFrame({"a": [np.nan, np.nan]})
    result = evaluate_fidelity(table, table, table, one)
    assert result["rate"] == 100 and "skipped" in result["trend"]
    with pytest.raises(InputError, match=r"synthetic table.*no column 'a'"):
        evaluate_fidelity(table, table, table.rename(columns={"a": "b"}), one)


@pytest.mark.parametrize(("value", "problem"), [("ten", "ten"), (np.inf, "infinite")])
def test_bad_number_names_its_column(value, problem):
    with pytest.raises(InputError, match=f"'a'.*{problem}"):
        shape_scores(
            pd.DataFrame({"a": [1.0]}),
            pd.DataFrame({"a": [value]}),
            Schema((Column("a", "integer"),)),
        )


@pytest.mark.parametrize("style", ["distance", "linear", "tree"])
def test_features_of_any_table_have_the_reference_width(style):
    table = _table(np.random.default_rng(0), 50)
    featurizer = Featurizer.fit(table, SCHEMA, exclude=["age"])
    unseen = table.assign(sex="X", codes="Q00", dose=np.nan)
    a, b = featurizer.transform(table, style), featurizer.transform(unseen, style)
    assert a.shape[1] == b.shape[1]
    assert np.isfinite(b).all() or style == "tree"
    other_ids = featurizer.transform(table.assign(patient=7, age=0), style)
    np.testing.assert_array_equal(a, other_ids)


def test_distance_features_measure_as_gower_does():
    schema = Schema((Column("a", "categorical"), Column("b", "continuous")))
    table = pd.DataFrame({"a": ["x", "y", "z"], "b": [0.0, 1.0, np.nan]})
    rows = Featurizer.fit(table, schema).transform(table, "distance")
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    assert squares[0, 1] == pytest.approx(1 + 0.5**2)  # mid-ranks .25 and .75
    assert squares[0, 2] == pytest.approx(1 + 1 + 0.25**2)
