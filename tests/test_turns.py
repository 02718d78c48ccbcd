"""The order of turns: mutual information by its closed forms, and dependent parts far apart."""

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.codec import Codec
from synthdiff.data.schema import Column, Schema
from synthdiff.data.turns import (
    GROUPS,
    group_categories,
    keep_apart,
    measure_mutual_information,
    order_turns,
)
from synthdiff.layout import Layout, Records

ROWS = 20_000


def draw(rng, *levels):
    return np.stack([rng.integers(0, k, ROWS) for k in levels], axis=1)


def test_mutual_information_has_its_closed_forms():
    """That of equal parts is their entropy; of a coin that is kept 9 times in 10, log 2 - H(.1)."""
    rng = np.random.default_rng(0)
    codes = draw(rng, 2, 5, 5)
    noisy = np.where(rng.random(ROWS) < 0.1, 1 - codes[:, 0], codes[:, 0])
    found = measure_mutual_information(np.column_stack([codes, codes[:, 1], noisy]))
    assert found[1, 3] == pytest.approx(np.log(5), abs=2e-3)
    entropy = -0.1 * np.log(0.1) - 0.9 * np.log(0.9)
    assert found[0, 4] == pytest.approx(np.log(2) - entropy, abs=0.01)
    assert np.abs(found[[0, 0, 1, 2], [1, 2, 2, 4]]).max() < 1e-3  # independent
    np.testing.assert_allclose(found, found.T)
    assert not np.diag(found).any()


def test_many_categories_are_joined_to_groups_of_neighbours():
    codes = np.random.default_rng(0).integers(0, 300, ROWS)
    groups = group_categories(codes)
    assert groups.max() == GROUPS - 1
    assert np.bincount(groups).min() > 0.8 * ROWS / GROUPS
    assert all(np.diff(groups[np.argsort(codes, kind="stable")]) >= 0)
    few = np.array([3, 0, 3, 7])
    np.testing.assert_array_equal(group_categories(few), [1, 0, 1, 2])


def test_twins_come_to_lie_opposite_each_other():
    rng, size = np.random.default_rng(1), 24
    mutual = rng.random((size, size)) * 0.01
    twins = np.arange(size) ^ 1
    mutual[np.arange(size), twins] = 1.0
    mutual = (mutual + mutual.T) / 2
    np.fill_diagonal(mutual, 0.0)
    places = keep_apart(mutual, rng)
    assert sorted(places) == list(range(size))
    gap = np.abs(places - places[twins])
    gap = np.minimum(gap, size - gap) / size
    assert gap.min() >= 0.24  # by chance they lie .25 apart in the mean, and many closer


def test_a_codec_knows_its_turns_whatever_the_order_of_rows(tmp_path):
    rng = np.random.default_rng(0)
    a, c = rng.integers(0, 4, (2, 30_000))
    df = pd.DataFrame({"a": a, "c": c, "b": a // 2, "d": c // 2}).astype(str)
    schema = Schema(tuple(Column(name, "categorical") for name in df))
    codec = Codec.fit(df, schema)
    assert codec == Codec.fit(df.sample(frac=1.0, random_state=0).reset_index(drop=True), schema)
    assert Codec.from_json(codec.to_json()) == codec
    names = codec.layout.part_names
    place = dict(zip(names, codec.layout.turns, strict=True))
    assert (place["a"] - place["b"]) % 4 == (place["c"] - place["d"]) % 4 == 2
    old = codec.to_json()
    del old["turns"]
    assert Codec.from_json(old).layout.turns == ()  # models of before draw as they did


def test_few_or_very_many_parts_are_left_to_chance():
    for parts in (1, 2, 2049):
        layout = Layout(("x",) * parts, (), (0,) * parts, (2,) * parts, (), ())
        codes = np.zeros((5, parts), np.int8)
        assert order_turns(Records(np.zeros((5, 0)), codes), layout, seed=0) == ()
