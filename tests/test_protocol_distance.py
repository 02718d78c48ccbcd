"""Nearest rows, alpha-precision and beta-recall, and the distance to the closest record."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler

from synthdiff._validate import InputError
from synthdiff.eval.protocol.dcr import dcr_share
from synthdiff.eval.protocol.distance import encode, nearest_row
from synthdiff.eval.protocol.precision_recall import alpha_precision_beta_recall
from synthdiff.eval.protocol.tables import Roles

ROLES = Roles(("x", "y"), ("a", "b"), "a")


def _table(rows, seed, levels=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": 50 + 10 * x,
            "y": x**2 + rng.normal(size=rows),
            "a": np.where(x + rng.normal(size=rows) > 0, "p", "q"),
            "b": rng.integers(levels, size=rows).astype(str),
        }
    )


def _one_hot(reference, tables):
    both = pd.get_dummies(pd.concat(tables)[["a", "b"]]).to_numpy(float)
    scaler = MinMaxScaler().fit(reference[["x", "y"]].to_numpy())
    numbers = np.concatenate([scaler.transform(t[["x", "y"]].to_numpy()) for t in tables])
    return np.split(np.hstack([numbers, both]), np.cumsum([len(t) for t in tables])[:-1])


@pytest.mark.parametrize(("power", "norm"), [(1, "l1"), (2, "sqeuclidean")])
def test_distances_are_those_of_one_hot_rows(power, norm):
    train, other = _table(300, 0), _table(170, 1)
    encoded, plain = encode(train, [train, other], ROLES), _one_hot(train, [train, other])
    distance, index = nearest_row(encoded[1], encoded[0], power=power)
    search = NearestNeighbors(n_neighbors=2, algorithm="brute", metric=norm).fit(plain[0])
    expected, rows = search.kneighbors(plain[1], n_neighbors=1)
    np.testing.assert_allclose(distance, expected[:, 0], atol=1e-12)
    np.testing.assert_array_equal(index, rows[:, 0])
    own = nearest_row(encoded[0], encoded[0], power=power, same=True)[0]
    np.testing.assert_allclose(own, search.kneighbors(plain[0])[0][:, 1], atol=1e-12)


def test_the_search_is_the_same_in_many_blocks(monkeypatch):
    tables = encode(_table(300, 0), [_table(300, 0), _table(170, 1)], ROLES)
    whole = nearest_row(tables[1], tables[0], power=1)
    monkeypatch.setattr("synthdiff.eval.protocol.distance._BLOCK", 1000)
    np.testing.assert_array_equal(nearest_row(tables[1], tables[0], power=1), whole)
    twin = nearest_row(tables[0], tables[0], power=1, same=True)[1]
    assert (twin != np.arange(300)).all()


def test_a_missing_number_differs_from_a_known_one():
    train = pd.DataFrame({"x": [0.0, 10.0, np.nan]})
    rows = encode(train, [train, pd.DataFrame({"x": [5.0, np.nan]})], Roles(("x",), ()))
    distance, index = nearest_row(rows[1], rows[0], power=1)
    assert list(distance) == [0.5, 0.0] and index[1] == 2


def test_more_categories_than_a_byte_counts_are_refused():
    names = tuple(f"c{i}" for i in range(256))
    table = pd.DataFrame([["a"] * 256, ["b"] * 256], columns=names)
    rows = encode(table, [table], Roles((), names))[0]
    with pytest.raises(InputError, match="255 categorical columns"):
        nearest_row(rows, rows, power=1)


def _naive_alpha_beta(real, other):
    """The definition, on one-hot rows and in the plainest way."""
    levels = np.linspace(0, 1, 30)
    to_centre = np.linalg.norm(real - real.mean(axis=0), axis=1)
    radii = np.quantile(to_centre, levels)
    precision = [np.mean(np.linalg.norm(other - real.mean(axis=0), axis=1) <= r) for r in radii]
    to_real = NearestNeighbors(n_neighbors=2).fit(real).kneighbors(real)[0][:, 1]
    to_other, index = NearestNeighbors(n_neighbors=1).fit(other).kneighbors(real)
    depth = np.linalg.norm(other[index[:, 0]] - other.mean(axis=0), axis=1)
    near = to_other[:, 0] <= to_real
    recall = [np.mean(near & (depth <= r)) for r in np.quantile(depth, levels)]
    return [
        100 * (1 - np.abs(levels - curve).sum() / levels.sum()) for curve in (precision, recall)
    ]


def test_alpha_beta_agree_with_the_definition_on_one_hot_rows():
    train, other = _table(500, 0), _table(500, 1).assign(x=lambda t: t["x"] * 1.1)
    result = alpha_precision_beta_recall(train, other, ROLES)
    expected = _naive_alpha_beta(*_one_hot(train, [train, other]))
    assert list(result.values()) == pytest.approx(expected, abs=0.5)  # ties fall either way


def test_alpha_beta_of_copy_fresh_sample_and_garbage():
    train = _table(1500, 0)
    copy = alpha_precision_beta_recall(train, train, ROLES)
    assert copy["beta_recall"] > 99 and copy["alpha_precision"] > 99
    fresh = alpha_precision_beta_recall(train, _table(1500, 1), ROLES)
    assert fresh["beta_recall"] == pytest.approx(50, abs=4) and fresh["alpha_precision"] > 95
    one_row = train.iloc[[0] * len(train)].reset_index(drop=True)
    stuck = alpha_precision_beta_recall(train, one_row, ROLES)
    assert stuck["beta_recall"] < 5 and stuck["alpha_precision"] < 80
    assert "skipped" in alpha_precision_beta_recall(train, train.iloc[:5], ROLES)["beta_recall"]


def test_dcr_by_hand():
    """x in units of train's range (0..10); a different category costs 2."""
    roles = Roles(("x",), ("c",))
    train = pd.DataFrame({"x": [0.0, 10.0], "c": ["p", "q"]})
    holdout = pd.DataFrame({"x": [4.0, 30.0], "c": ["p", "q"]})
    rows = pd.DataFrame({"x": [1.0, 3.0, 2.0, 0.0], "c": ["p", "p", "p", "q"]})
    # to train .1 .3 .2 1.0 (10 q); to holdout .3 .1 .2 2.4 (4 p)
    expected = {"strict": 50.0, "tie_aware": 62.5, "tied": 25.0, "chance": 50.0}
    assert dcr_share(train, holdout, rows, roles) == pytest.approx(expected)


def test_dcr_sees_a_copy_and_passes_a_fresh_sample():
    train, holdout = _table(2000, 0), _table(2000, 1)
    assert dcr_share(train, holdout, train, ROLES)["tie_aware"] > 99
    fresh = dcr_share(train, holdout, _table(2000, 2), ROLES)
    assert fresh["tie_aware"] == pytest.approx(50, abs=4)  # 3.6 standard errors
    longer = dcr_share(train, holdout.iloc[:500], _table(2000, 2), ROLES)
    assert longer["chance"] == 80 and longer["tie_aware"] == pytest.approx(80, abs=4)


def test_a_copy_of_a_coarse_table_passes_as_private_only_in_the_strict_share():
    """One training row in ten exists nowhere else; the others tie."""
    roles = Roles((), ("a", "b"))
    rows = pd.DataFrame({"a": list("pqpq") * 125, "b": list("uuvv") * 125})
    holdout = rows.copy()
    train = rows.copy()
    train.loc[:49, "b"] = "rare"
    shares = dcr_share(train, holdout, train, roles)
    assert shares["strict"] == 10 and shares["tied"] == 90  # far below 50: "private"
    assert shares["tie_aware"] == pytest.approx(55) and shares["chance"] == 50
    everywhere = dcr_share(rows, holdout, rows, roles)
    assert everywhere["strict"] == 0 and everywhere["tied"] == 100
    assert "100% of the rows tie" in everywhere["tie_aware"]["skipped"]
