import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthdiff._validate import InputError
from synthdiff.data.split import split_by_entity, split_frame

FRACTIONS = {"train": 0.6, "test": 0.2, "holdout": 0.2}


def places(ids, parts):
    """Part by entity; fails if an entity is in two."""
    found = {}
    for name, rows in parts.items():
        for entity in set(np.asarray(ids)[rows].tolist()):
            assert found.setdefault(entity, name) == name
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=30, max_size=200).filter(lambda x: len(set(x)) >= 10),
    st.integers(0, 2**31),
)
def test_parts_are_disjoint_whole_and_exact(ids, seed):
    parts = split_by_entity(ids, len(ids), FRACTIONS, seed)
    found = places(ids, parts)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(ids)))
    count = len(set(ids))
    for name, fraction in FRACTIONS.items():
        assert abs(sum(part == name for part in found.values()) - fraction * count) <= 1


def test_row_order_and_repeats_do_not_move_a_patient():
    rng = np.random.default_rng(0)
    ids = np.array([f"p{i}" for i in rng.integers(0, 50, 400)])
    before = places(ids, split_by_entity(ids, 400, FRACTIONS, 7))
    shuffled = rng.permutation(ids)
    assert places(shuffled, split_by_entity(shuffled, 400, FRACTIONS, 7)) == before
    once = np.unique(ids)
    assert places(once, split_by_entity(once, len(once), FRACTIONS, 7)) == before


def test_a_new_patient_moves_at_most_the_borders():
    before = places(range(200), split_by_entity(range(200), 200, FRACTIONS, 0))
    after = places(range(201), split_by_entity(range(201), 201, FRACTIONS, 0))
    assert sum(before[i] != after[i] for i in range(200)) <= 2


@pytest.mark.parametrize("same", [[str(i) for i in range(100)], np.arange(100.0)])
def test_the_type_of_the_id_does_not_matter(same):
    parts = split_by_entity(range(100), 100, FRACTIONS, 3)
    for name, rows in split_by_entity(same, 100, FRACTIONS, 3).items():
        np.testing.assert_array_equal(rows, parts[name])


def test_known_answer_so_that_old_splits_stay():
    # Positions ranked with a shell: printf 0:$i | b2sum -l 128, for i in 0..9, sorted.
    parts = split_by_entity(None, 10, {"train": 0.5, "test": 0.3}, seed=0)
    assert {name: rows.tolist() for name, rows in parts.items()} == {
        "train": [2, 4, 5, 6, 9],
        "test": [1, 3, 8],
    }


def test_without_entity_every_row_is_its_own():
    parts = split_by_entity(None, 1000, {"a": 0.5, "b": 0.25}, 1)
    assert [len(rows) for rows in parts.values()] == [500, 250]
    assert all(np.all(np.diff(rows) > 0) for rows in parts.values())
    assert not set(parts["a"]) & set(parts["b"])


def test_seeds_give_unrelated_splits():
    train = [set(split_by_entity(None, 2000, {"a": 0.5}, seed)["a"]) for seed in range(5)]
    for i, first in enumerate(train):
        for second in train[:i]:
            # Hypergeometric: mean 500, standard deviation 11; 60 is over 5 of them.
            assert abs(len(first & second) - 500) < 60


def test_all_in_one_part():
    assert split_by_entity(pd.Series(["a", "b", "a"]), 3, {"all": 1.0}, 0)["all"].tolist() == [
        0,
        1,
        2,
    ]


def test_shares_that_are_whole_are_met_exactly():
    # 0.29 * 100 is 28.999999999999996 in floating point.
    parts = split_by_entity(None, 100, {"a": 0.29, "b": 0.71}, 0)
    assert [len(rows) for rows in parts.values()] == [29, 71]


def test_thirds_add_up_in_floating_point():
    parts = split_by_entity(None, 9, dict.fromkeys("abcdefghi", 1 / 9), 0)
    assert [len(rows) for rows in parts.values()] == [1] * 9


@pytest.mark.parametrize(
    ("ids", "rows", "fractions", "words"),
    [
        ([1, None, 2], 3, {"a": 0.5}, ["missing", "row 1"]),
        (["x", " ", "y"], 3, {"a": 0.5}, ["missing", "row 1"]),
        ([1, 2], 3, {"a": 0.5}, ["2 ids for 3 rows"]),
        (None, 10, {"a": 0.7, "b": 0.6}, ["1.3", "at most 1"]),
        (None, 10, {"a": -0.1}, ["'a'", "-0.1"]),
        (None, 10, {"a": 0.0}, ["'a'", "0.0"]),
        (None, 10, {}, ["no part"]),
        ([1, 1, 1, 2], 4, {"a": 0.5, "b": 0.1}, ["'b'", "empty", "2 entities"]),
    ],
)
def test_bad_requests_are_explained(ids, rows, fractions, words):
    with pytest.raises(InputError) as caught:
        split_by_entity(ids, rows, fractions, 0)
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)


def test_tables_are_the_rows_of_the_parts():
    df = pd.DataFrame({"who": ["a", "b"] * 30 + ["c"] * 40, "x": range(100)})
    fractions = {"train": 0.67, "test": 0.33}
    for entity, ids in (("who", df["who"]), (None, None)):
        rows = split_by_entity(ids, 100, fractions, 5)
        for name, table in split_frame(df, entity, fractions, 5).items():
            assert table["x"].tolist() == rows[name].tolist()
            assert table.index.tolist() == list(range(len(rows[name])))
