import numpy as np
import pytest

from synthdiff._validate import InputError
from synthdiff.eval import neighbours
from synthdiff.eval.neighbours import count_within, nearest


def _brute(queries, base):
    return ((queries[:, None, :] - base[None]) ** 2).sum(axis=2)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 7)).astype(np.float32), rng.normal(size=(500, 7)).astype(
        np.float32
    )


def test_flat_search_equals_brute_force(points):
    queries, base = points
    squares, ids = nearest(queries, base, 5)
    expected = _brute(queries, base)
    np.testing.assert_array_equal(ids, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(squares, np.sort(expected, axis=1)[:, :5], rtol=1e-5)


def test_copies_are_at_distance_zero_far_from_the_origin():
    """|q|^2 - 2 q.b + |b|^2 in float32 would give about 1 here."""
    base = (np.random.default_rng(0).normal(size=(200, 4)) + 1000).astype(np.float32)
    squares, _ = nearest(base, base, 1)
    assert squares.max() == 0


def test_inverted_lists_find_nearly_all_true_neighbours():
    rng = np.random.default_rng(0)
    base, queries = rng.normal(size=(5000, 4)), rng.normal(size=(200, 4))
    exact, approximate = (nearest(queries, base, 3, index=index)[1] for index in ("flat", "ivf"))
    assert np.mean(exact == approximate) > 0.95


def test_inverted_lists_lose_no_copy():
    base = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    squares, ids = nearest(base, base, 1, index="ivf")
    assert squares.max() == 0 and (ids[:, 0] == np.arange(5000)).all()


def test_auto_is_exact_unless_both_tables_are_large(monkeypatch):
    rng = np.random.default_rng(0)
    base, queries = rng.normal(size=(3000, 2)), rng.normal(size=(40, 2))
    built = []
    original = neighbours.build_index
    monkeypatch.setattr(
        neighbours, "build_index", lambda rows, kind: built.append(kind) or original(rows, kind)
    )
    nearest(queries, base)
    monkeypatch.setattr(neighbours, "_FLAT_ROWS", 2000)
    nearest(queries, base)
    monkeypatch.setattr(neighbours, "_FEW_QUERIES", 40)
    nearest(queries, base)
    assert built == ["flat", "flat", "ivf"]


def test_count_within_equals_brute_force(points):
    queries, base = points
    expected = (_brute(queries, base) <= 4.0).sum(axis=1)
    counts = count_within(queries, base, 4.0)
    assert np.abs(counts - expected).max() <= 1  # a pair may sit on the radius itself
    assert np.mean(counts == expected) > 0.98


def test_count_within_zero_counts_copies():
    base = np.repeat(np.eye(3), [1, 2, 3], axis=0)
    np.testing.assert_array_equal(count_within(np.eye(3), base, 0.0), [1, 2, 3])


@pytest.mark.parametrize("k", [0, 501])
def test_impossible_k_is_an_input_error(points, k):
    with pytest.raises(InputError, match="500 rows"):
        nearest(*points, k)
