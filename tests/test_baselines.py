import sys

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.baselines import (
    BASELINES,
    bootstrap,
    fit_ctgan,
    independent_marginals,
    shuffle_columns,
    smote,
)

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("age", "integer"),
        Column("dose", "continuous"),
        Column("sex", "categorical"),
        Column("visit", "datetime"),
        Column("died", "boolean"),
    ),
    target="died",
)
NAMES = ["age", "dose", "sex", "visit", "died"]


def _table(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 80, rows)
    return pd.DataFrame(
        {
            "patient": np.arange(rows),
            "age": age,
            "dose": np.where(rng.random(rows) < 0.1, np.nan, age / 10 + rng.normal(size=rows)),
            "sex": np.where(age + rng.normal(size=rows) > 50, "F", "M"),
            "visit": pd.Timestamp("2020-01-01") + pd.to_timedelta(age, unit="D"),
            "died": rng.random(rows) < age / 100,
        },
        index=np.arange(rows) + 7,
    )


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("rows", [1, 150, 950])
def test_columns_dtypes_and_repeatability(name, rows):
    train = _table()
    table = BASELINES[name](train, SCHEMA, rows, np.random.default_rng(1))
    assert list(table.columns) == NAMES and len(table) == rows
    assert (table.dtypes == train[NAMES].dtypes).all()
    assert list(table.index) == list(range(rows))
    pd.testing.assert_frame_equal(
        table, BASELINES[name](train, SCHEMA, rows, np.random.default_rng(1))
    )
    if rows > 1:
        assert not table.equals(BASELINES[name](train, SCHEMA, rows, np.random.default_rng(2)))


@pytest.mark.parametrize("name", BASELINES)
def test_marginals_stay_and_dependence_only_where_it_should(name):
    train = _table(2000)
    table = BASELINES[name](train, SCHEMA, 2000, np.random.default_rng(0))
    assert table["age"].mean() == pytest.approx(train["age"].mean(), abs=1.5)
    assert table["dose"].isna().mean() == pytest.approx(0.1, abs=0.03)
    correlation = table[["age", "dose"]].corr().iloc[0, 1]
    assert train[["age", "dose"]].corr().iloc[0, 1] > 0.8
    assert correlation > 0.8 if name in ("bootstrap", "smote") else abs(correlation) < 0.1


def test_shuffling_permutes_each_column_by_itself():
    train = _table()
    table = shuffle_columns(train, SCHEMA, len(train), np.random.default_rng(0))
    for name in NAMES:
        pair = [t[name].sort_values(ignore_index=True) for t in (table, train)]
        pd.testing.assert_series_equal(*pair)
    twice = shuffle_columns(train, SCHEMA, 800, np.random.default_rng(0))
    counts = train["age"].value_counts().to_dict()
    assert twice["age"].value_counts().to_dict() == {age: 2 * n for age, n in counts.items()}
    drawn = independent_marginals(train, SCHEMA, len(train), np.random.default_rng(0))
    assert drawn["age"].value_counts().to_dict() != counts


def test_bootstrap_copies_whole_rows():
    train = _table()
    table = bootstrap(train, SCHEMA, 300, np.random.default_rng(0))
    rows = {tuple(map(str, row)) for row in train[NAMES].to_numpy()}
    assert {tuple(map(str, row)) for row in table.to_numpy()} <= rows


def test_smote_stays_between_neighbours():
    """Two far clusters: no row lies between them, none is a plain copy, whole stays whole."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, 200), rng.uniform(100, 101, 200)])
    train = pd.DataFrame(
        {"x": x, "n": np.rint(x * 10).astype(int), "c": np.where(x < 50, "a", "b")}
    )
    schema = Schema((Column("x", "continuous"), Column("n", "integer"), Column("c", "categorical")))
    table = smote(train, schema, 3000, np.random.default_rng(1))
    low = table["x"] < 50
    assert table.loc[low, "x"].between(0, 1).all() and table.loc[~low, "x"].between(100, 101).all()
    assert (table["c"] == np.where(low, "a", "b")).all()
    assert not table["x"].isin(train["x"]).any() and table["n"].dtype == train["n"].dtype
    assert (abs(table["n"] - 10 * table["x"]) < 1.01).all()


def test_smote_leaves_itself_out_even_among_copies():
    train = pd.DataFrame({"x": [1.0] * 20 + [2.0], "c": "a"})
    schema = Schema((Column("x", "continuous"), Column("c", "categorical")))
    table = smote(train, schema, 500, np.random.default_rng(0))
    from_the_last = table["x"][table["x"] > 1]  # its neighbours are the copies, never itself
    assert 0 < len(from_the_last) < 50 and (from_the_last < 2).mean() > 0.9
    with pytest.raises(InputError, match="2 rows or more"):
        smote(train.iloc[:1], schema, 5, np.random.default_rng(0))


def test_a_table_without_a_column_is_refused():
    with pytest.raises(InputError, match="no column 'dose'"):
        bootstrap(_table().drop(columns="dose"), SCHEMA, 5, np.random.default_rng(0))


def test_ctgan_is_named_where_it_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctgan", None)
    with pytest.raises(InputError, match="pip install --no-deps ctgan"):
        fit_ctgan(_table(), SCHEMA, 0)


def test_ctgan_samples_the_columns_of_the_schema():
    pytest.importorskip("ctgan", reason="optional: pip install --no-deps ctgan rdt Faker")
    train = _table().dropna()
    schema = Schema(tuple(c for c in SCHEMA.columns if c.kind != "datetime"), "died")
    sample = fit_ctgan(train, schema, 0, epochs=1)
    table = sample(30)
    assert list(table.columns) == ["age", "dose", "sex", "died"] and len(table) == 30
    assert set(table["sex"]) <= {"F", "M"} and set(table["died"]) <= {True, False}
    with pytest.raises(InputError, match="missing numbers"):
        fit_ctgan(_table(), schema, 0)
