"""The order of turns: mutual information by its closed forms, and dependent parts far apart."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.codec import Codec
from synthdiff.data.schema import Column, Schema
from synthdiff.data.turns import (
    BLOCK,
    GROUPS,
    MOST_GROUPS,
    MOST_PARTS,
    MOST_PRODUCTS,
    MOST_ROWS,
    bound_work,
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


@pytest.mark.parametrize(("parts", "groups"), [(160, GROUPS), (54, GROUPS), (160, 4)])
def test_mutual_information_by_blocks_is_that_of_each_two_parts(parts, groups):
    """Parts of several widths, over several blocks, by the formula for each pair."""
    rng, rows = np.random.default_rng(1), 500
    sizes = np.tile([2, 40, 5, 16], 40)[:parts]  # the last of 54 reaches beyond a block's end
    codes = rng.integers(0, sizes, (rows, len(sizes)))
    codes[:, 1::4] = (codes[:, 1::4] + codes[:, ::4]) // 2
    grouped = [group_categories(column, groups) for column in codes.T]
    assert sum(column.max() + 1 for column in grouped) > BLOCK
    found = measure_mutual_information(codes, groups)
    for i, j in [*rng.integers(0, len(sizes), (60, 2)), (0, 1), (parts - 1, 0)]:
        a, b = grouped[i], grouped[j]
        joint = np.zeros((a.max() + 1, b.max() + 1))
        np.add.at(joint, (a, b), 1 / rows)
        alone = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        nats = np.sum(joint[joint > 0] * np.log(joint[joint > 0] / alone[joint > 0]))
        expected = max(0.0, nats - a.max() * b.max() / (2 * rows)) if i != j else 0.0
        assert [found[i, j], found[j, i]] == pytest.approx([expected] * 2, abs=1e-12)


def test_many_parts_take_little_memory():
    """All counts of 300 numeric columns at once would take 180 MB, several times."""
    codes = np.random.default_rng(0).integers(0, 16, (500, 300), np.int8)
    tracemalloc.start()
    measure_mutual_information(codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


@pytest.mark.parametrize("cardinality", [2, 9, 33])
@pytest.mark.parametrize("parts", [3, 200, 512, 2000, MOST_PARTS])
def test_work_and_memory_are_bounded(parts, cardinality):
    groups, rows = bound_work(np.full(parts, cardinality))
    width = parts * min(groups, cardinality)
    assert width <= MOST_GROUPS and rows * width**2 <= MOST_PRODUCTS and 5000 <= rows <= MOST_ROWS
    blocks = 2 * 4 * (BLOCK + groups) * rows  # float32, one and another
    assert blocks + rows * parts + 3 * 8 * parts**2 < 240e6
    if width <= 2 * MOST_PARTS:  # codes, and up to 256 numeric columns: as many as there are
        assert (groups, rows) == (GROUPS, MOST_ROWS)


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
