"""Row counts of the published splits (arXiv 2310.09656, 2410.20626), where the data are at hand."""

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.protocol import SPLITS, load_split, shuffle_split
from synthdiff.data.sources.fetch import data_folders, find_file

# split: (file, train, val, test, numeric, categorical); the target counts as a column.
PUBLISHED = {
    "adult": ("adult.data", 32_561, 0, 16_281, 6, 9),
    "default": ("default.csv", 27_000, 0, 3_000, 14, 10),
    "magic": ("magic04.data", 17_118, 0, 1_902, 10, 1),
    "beijing": ("PRSA_data_2010.1.1-2014.12.31.csv", 37_581, 0, 4_176, 7, 5),
    "diabetes130_rows": ("diabetic_data.csv", 61_059, 20_353, 20_354, 9, 28),
}


def _need(dataset, filename):
    if find_file(data_folders(dataset.split("_")[0]), filename) is None:
        pytest.skip(f"{filename} is not in $SYNTHDIFF_DATA")


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    filename, train, val, test, numeric, categorical = PUBLISHED[name]
    _need(name, filename)
    parts, schema = load_split(name)
    assert {part: len(df) for part, df in parts.items()} == {
        part: rows for part, rows in (("train", train), ("val", val), ("test", test)) if rows
    }
    assert sum(column.is_numeric for column in schema.features) == numeric
    assert sum(column.is_categorical for column in schema.features) == categorical
    for column in schema.features:
        if name in ("default", "magic", "beijing") and column.is_categorical:
            assert set(parts["test"][column.name]) <= set(parts["train"][column.name])
    if name == "diabetes130_rows":
        rates = [df[schema.target].mean() for df in parts.values()]
        assert np.ptp(rates) < 1e-4 and rates[0] == pytest.approx(0.461, abs=0.001)
    if name == "magic":
        again = load_split(name)[0]
        assert all(parts[part].equals(again[part]) for part in parts)


def test_patient_split_of_diabetes_shares_no_patient():
    _need("diabetes130", "diabetic_data.csv")
    parts, schema = load_split("diabetes130_patients")
    assert schema.entity == "patient_nbr"
    people = {part: set(df["patient_nbr"]) for part, df in parts.items()}
    assert not people["train"] & people["test"] and not people["train"] & people["val"]
    assert len(set.union(*people.values())) == 71_518
    assert sum(map(len, parts.values())) == 101_766 and len(schema.features) == 37
    stays = parts["train"].groupby("patient_nbr")[["race", "gender"]].nunique()
    assert len(stays) < len(parts["train"]) * 0.75  # ids fit the rows: one person, one sex
    assert (stays["gender"] == 1).mean() > 0.999


def test_rand_hie_is_split_by_household_and_in_halves():
    parts, schema = load_split("rand_hie")
    assert set(parts) == {"train", "val", "test"} and schema.entity == "household"
    assert not set(parts["train"]["household"]) & set(parts["test"]["household"])
    halves, _ = load_split("rand_hie_halves")
    assert not set(halves["train"]["household"]) & set(halves["test"]["household"])
    assert abs(len(halves["train"]) - len(halves["test"])) < 200
    assert sum(map(len, halves.values())) == sum(map(len, parts.values())) == 20_190


def test_halves_of_rows_are_equal_and_disjoint():
    _need("magic", "magic04.data")
    halves, _ = load_split("magic_halves")
    assert len(halves["train"]) == len(halves["test"]) == 9_510
    both = pd.concat(halves.values()).sort_values(list(halves["train"]), ignore_index=True)
    whole = pd.concat(load_split("magic")[0].values())
    pd.testing.assert_frame_equal(both, whole.sort_values(list(whole), ignore_index=True))


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match=r"diabetes130_rows.*got 'iris'"):
        load_split("iris_halves")
    assert set(PUBLISHED) < set(SPLITS)


def test_shuffling_goes_on_until_train_has_every_level():
    """A level of one row lands in train nine times in ten; twenty need many seeds."""
    rare = np.array([f"level{i}" if i < 20 else "common" for i in range(100)])
    df = pd.DataFrame({"c": rare, "x": np.arange(100)})
    parts, seed = shuffle_split(df, ["c"])
    assert seed > 1234 and set(df["c"].iloc[parts["train"]]) == set(rare)
    assert len(parts["train"]) == 90 and len(np.union1d(*parts.values())) == 100
    order = np.arange(100)  # by hand: each seed shuffles the order the last one left
    for k in range(1234, seed + 1):
        np.random.RandomState(k).shuffle(order)
    np.testing.assert_array_equal(order[:90], parts["train"])
    assert shuffle_split(df, [])[1] == 1234
