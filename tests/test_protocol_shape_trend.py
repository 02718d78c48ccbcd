"""Shape and Trend against closed forms, and against sdmetrics 0.18.0.

tests/golden/sdmetrics.json holds what sdmetrics itself says of the two tables of `_tables`, so the
agreement is checked where sdmetrics is not installed too. With `pip install sdmetrics==0.18.0`:

    import json
    from test_protocol_shape_trend import GOLDEN, run_sdmetrics
    GOLDEN.write_text(json.dumps(run_sdmetrics(), indent=1) + "\\n")
"""

import json
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.protocol.shape import shape_error, shape_scores
from synthdiff.eval.protocol.tables import MISSING, Roles, cut_to_equal, prepare
from synthdiff.eval.protocol.trend import trend_error, trend_scores

GOLDEN = Path(__file__).parent / "golden" / "sdmetrics.json"
ROLES = Roles(("age", "cost", "fixed"), ("sex", "code"), "sex")
PAIR = Roles(("x",), ("c",), "c")


def _table(rows, stretch):
    """Any numbers will do, as long as no random generator can change them."""
    i = np.arange(rows)
    age = 20 + (i * 37) % 61
    cost = np.where(i % 7 == 0, np.nan, stretch * ((i * i) % 97) ** 1.5 + age)
    sex = np.where((i * 13 + age) % 5 < 2, "F", "M").astype(object)
    sex[i % 11 == 3] = MISSING
    code = np.array(["E11", "I10", "V57", "empty", "250.8"], object)[(i * 7 + age // 9) % 5]
    fixed = np.full(rows, 3.0) if stretch > 1 else (i % 4).astype(float)
    return pd.DataFrame({"age": age * 1.0, "cost": cost, "fixed": fixed, "sex": sex, "code": code})


def _tables():
    train, synthetic = _table(240, 1.0), _table(190, 1.3)
    synthetic["code"] = synthetic["code"].replace({"V57": "new"})
    return train, synthetic


def run_sdmetrics():
    from sdmetrics.reports.single_table._properties import ColumnPairTrends, ColumnShapes

    columns = {name: {"sdtype": "numerical"} for name in ROLES.numeric}
    columns |= {name: {"sdtype": "categorical"} for name in ROLES.categorical}
    tables = [table.replace({MISSING: None}) for table in _tables()]
    shape, trend = ColumnShapes(), ColumnPairTrends()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        means = [part.get_score(*tables, {"columns": columns}) for part in (shape, trend)]
    scores = {"shape": {}, "trend": {}}
    for row in shape.details.itertuples():
        scores["shape"][row.Column] = row.Score
    for row in trend.details.to_dict("records"):
        pair = f"{row['Column 1']} {row['Column 2']}"
        scores["trend"][pair] = None if np.isnan(row["Score"]) else row["Score"]
    return {"shape_mean": means[0], "trend_mean": means[1], **scores}


def _assert_agrees(expected):
    tables = _tables()
    assert shape_scores(*tables, ROLES) == pytest.approx(expected["shape"], abs=1e-6)
    trend = {" ".join(pair): score for pair, score in trend_scores(*tables, ROLES).items()}
    assert trend == pytest.approx(expected["trend"], abs=1e-6)
    assert shape_error(*tables, ROLES) == pytest.approx(
        100 * (1 - expected["shape_mean"]), abs=1e-4
    )
    assert trend_error(*tables, ROLES) == pytest.approx(
        100 * (1 - expected["trend_mean"]), abs=1e-4
    )


def test_agrees_with_the_recorded_scores_of_sdmetrics():
    expected = json.loads(GOLDEN.read_text())
    assert expected["trend"]["age fixed"] is None  # constant in one table: left out by sdmetrics
    assert len(expected["trend"]) == 10 and 0.5 < expected["trend_mean"] < 0.99
    _assert_agrees(expected)


def test_agrees_with_sdmetrics_itself():
    try:
        found = version("sdmetrics")
    except PackageNotFoundError:
        pytest.skip("sdmetrics is not installed: pip install 'synthdiff[benchmark]'")
    if found != "0.18.0":
        pytest.skip(f"sdmetrics {found} scores other rows and pairs than the pinned 0.18.0")
    _assert_agrees(run_sdmetrics())


def test_the_comparison_would_see_bins_that_both_tables_share():
    """Power: edges of the real table, as in `synthdiff.eval.fidelity`, give another score."""
    train, synthetic = _tables()
    edges = np.histogram_bin_edges(train["cost"].dropna(), 10)
    joint = [
        pd.Series(np.digitize(t["cost"], edges).astype(str)) + t["code"] for t in (train, synthetic)
    ]
    shares = [cells.value_counts(normalize=True) for cells in joint]
    shared = 1 - shares[0].sub(shares[1], fill_value=0).abs().sum() / 2
    assert abs(shared - trend_scores(train, synthetic, ROLES)["cost", "code"]) > 0.01


def test_a_table_has_no_error_against_itself_in_any_order():
    train, _ = _tables()
    other = train.sample(frac=1, random_state=1, ignore_index=True)
    assert shape_error(train, other, ROLES) == pytest.approx(0)
    assert trend_error(train, other, ROLES) == pytest.approx(0)


def test_gaussian_shift_has_the_closed_form_of_ks():
    """N(0, 1) against N(d, 1): sup |F - G| = 2 Phi(d / 2) - 1."""
    quantiles = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    tables = [pd.DataFrame({"x": quantiles + d, "c": "one"}) for d in (0.0, 0.6)]
    score = shape_scores(*tables, PAIR)["x"]
    assert 1 - score == pytest.approx(2 * stats.norm.cdf(0.3) - 1, abs=2e-4)


def test_levels_have_the_closed_form_of_total_variation():
    tables = [
        pd.DataFrame({"x": 0.0, "c": np.repeat(["a", "b"], counts)})
        for counts in ((30, 70), (55, 45))
    ]
    assert shape_scores(*tables, PAIR)["c"] == pytest.approx(0.75)
    assert shape_error(*tables, PAIR) == pytest.approx(12.5)


def test_shuffling_keeps_shape_and_costs_trend_half_the_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50_000)
    train = pd.DataFrame({"x": x, "y": 0.8 * x + 0.6 * rng.normal(size=len(x))})
    shuffled = pd.DataFrame({"x": x, "y": train["y"].to_numpy()[rng.permutation(len(x))]})
    roles = Roles(("x", "y"), ())
    assert shape_error(train, shuffled, roles) == 0
    assert trend_error(train, shuffled, roles) == pytest.approx(40, abs=1)


def test_one_missed_extreme_shifts_the_bins():
    """The trap of bins fitted to each table: dropping one outlier costs a third of the pairs."""
    x = np.append(np.tile(np.arange(9.0), 100), 90.0)
    train = pd.DataFrame({"x": x, "c": np.where(x % 2 == 0, "even", "odd")})
    assert trend_error(train, train.iloc[:-1], PAIR) > 30
    assert shape_error(train, train.iloc[:-1], PAIR) < 0.2


def test_missing_cells_count_in_trend_and_not_in_shape():
    train = pd.DataFrame({"x": [1.0, 2, 3, 4], "c": list("abab")})
    other = pd.DataFrame({"x": [1.0, np.nan, 3, 4, 2], "c": ["a", "b", "a", "b", MISSING]})
    assert shape_error(train, other, PAIR) == pytest.approx(0)
    assert trend_error(train, other, PAIR) > 10


def test_what_cannot_be_compared_is_named():
    empty = pd.DataFrame({"x": [np.nan] * 3, "c": [MISSING] * 3})
    assert "skipped" in shape_error(empty, empty, PAIR)
    assert "skipped" in trend_error(empty[["x"]], empty[["x"]], Roles(("x",), ()))
    scores = shape_scores(pd.DataFrame({"x": [1.0], "c": ["a"]}), empty, PAIR)
    assert scores == {"x": None, "c": None}


def test_prepare_gives_numbers_and_strings_in_schema_roles():
    schema = Schema(
        (
            Column("patient", "entity"),
            Column("day", "datetime"),
            Column("age", "integer"),
            Column("site", "categorical"),
            Column("died", "boolean"),
        ),
        target="died",
    )
    raw = pd.DataFrame(
        {
            "patient": [1, 2],
            "day": pd.to_datetime(["1970-01-02", None]),
            "age": pd.array([40, None], "Int64"),
            "site": [3.0, np.nan],
            "died": [True, False],
        }
    )
    table = prepare(raw, schema)
    assert table["day"].iloc[0] == 1 and table[["day", "age"]].iloc[1].isna().all()
    assert list(table["site"]) == ["3", MISSING] and list(table["died"]) == ["1", "0"]
    roles = Roles.from_schema(schema)
    assert roles == Roles(("day", "age"), ("site", "died"), "died") and not roles.is_regression
    assert roles.inputs == Roles(("day", "age"), ("site",))
    with pytest.raises(InputError, match="a code set has no place"):
        Roles.from_schema(Schema((Column("codes", "code_set"), Column("age", "integer"))))


def test_equal_cuts_draw_rows_without_replacement():
    long, short = pd.DataFrame({"x": np.arange(50)}), pd.DataFrame({"x": np.arange(20)})
    cut, same = cut_to_equal(long, short, seed=3)
    assert same is short and len(cut) == 20 and cut["x"].is_unique
    assert cut.equals(cut_to_equal(long, short, seed=3)[0])
    assert not cut.equals(cut_to_equal(long, short, seed=4)[0])
