import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthdiff.data.batches import make_batches, permute_patients

IDS = np.array(["c", "a", "b", "a", "c", "d", "a", "e", "b", "a"])
NUMBERS = pd.factorize(IDS)[0]


def is_grouped(labels):
    """Whether equal labels lie side by side."""
    return 1 + np.sum(labels[1:] != labels[:-1]) == len(set(labels.tolist()))


@settings(max_examples=50, deadline=None)
@given(st.booleans(), st.integers(1, 25), st.integers(0, 2**31), st.integers(1, 4))
def test_every_row_once_per_epoch(with_ids, batch_size, seed, epochs):
    steps = -(-epochs * 10 // batch_size)
    rows = make_batches(IDS if with_ids else None, 10, batch_size, seed)(0, steps)
    assert rows.shape == (steps, batch_size) and rows.dtype == np.int32
    for epoch in rows.ravel()[: epochs * 10].reshape(epochs, 10):
        assert sorted(epoch) == list(range(10))
        assert not with_ids or is_grouped(IDS[epoch])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 25), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 50))
def test_chunks_are_slices_of_one_stream(batch_size, chunks, first):
    whole = make_batches(IDS, 10, batch_size, 3)(0, first + sum(chunks))
    rows_of = make_batches(IDS, 10, batch_size, 3)
    for num_steps in chunks:
        part = rows_of(first, num_steps)
        np.testing.assert_array_equal(part, whole[first : first + num_steps])
        first += num_steps


def test_without_ids_rows_are_not_grouped():
    assert not any(is_grouped(IDS[permute_patients(None, 10, 0, e)]) for e in range(5))


@pytest.mark.parametrize("ids", [None, np.arange(200) // 2])
def test_seeds_and_epochs_change_the_order(ids):
    orders = [permute_patients(ids, 200, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for i, first in enumerate(orders):
        for second in orders[:i]:
            # Places that agree by chance: about 1 row or patient.
            assert np.sum(first == second) < 20
    np.testing.assert_array_equal(orders[0], permute_patients(ids, 200, 0, 0))


def test_patients_come_first_equally_often():
    first = [IDS[permute_patients(NUMBERS, 10, seed, 0)[0]] for seed in range(1000)]
    # Binomial with mean 200 and standard deviation 13, though "a" has 4 of 10 rows.
    assert all(abs(first.count(name) - 200) < 60 for name in "abcde")


def test_a_batch_may_be_larger_than_the_table():
    rows = make_batches(None, 3, 8, 0)(1, 2)
    counts = np.bincount(rows.ravel())
    assert rows.shape == (2, 8) and set(counts.tolist()) <= {5, 6}


def test_ids_may_be_of_any_type():
    numbers = np.unique(IDS, return_inverse=True)[1]
    for ids in (numbers, numbers.astype(float), IDS.astype(object), list(IDS)):
        np.testing.assert_array_equal(
            make_batches(ids, 10, 4, 0)(2, 5), make_batches(IDS, 10, 4, 0)(2, 5)
        )


def test_an_epoch_is_permuted_once(monkeypatch):
    """Dispatches of a few steps do not number the patients and permute the table anew."""
    calls = []

    def count(function):
        def counted(*args):
            calls.append(function.__name__)
            return function(*args)

        return counted

    monkeypatch.setattr("synthdiff.data.batches.permute_patients", count(permute_patients))
    monkeypatch.setattr("pandas.factorize", count(pd.factorize))
    rows_of = make_batches(IDS, 10, 4, 3)
    for step in range(0, 10, 2):  # four epochs in five dispatches, whose batches cross
        rows_of(step, 2)
    assert calls == ["factorize"] + ["permute_patients"] * 4


def test_batches_are_those_of_earlier_releases():
    """A run that is resumed goes on as it was begun."""
    expected = [
        [[3, 6, 9, 5], [0, 4, 2, 8], [0, 4, 5, 7], [1, 3, 6, 9]],
        [[1, 4, 7, 5], [3, 8, 4, 1], [2, 8, 5, 0], [7, 9, 6, 3]],
    ]
    for ids, rows in zip((IDS, None), expected, strict=True):
        np.testing.assert_array_equal(make_batches(ids, 10, 4, 3)(1, 4), rows)
