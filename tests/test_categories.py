import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthdiff._validate import InputError
from synthdiff.data.categories import CategoryCoder, CodeSetCoder, count_patients, explode_codes
from synthdiff.data.schema import Column

RNG = np.random.default_rng


def fit(values, kind="categorical", patients=None, min_patients=3, **fields):
    values = pd.Series(values, dtype=object if None in values else None)
    patients = np.arange(len(values)) if patients is None else np.asarray(patients)
    coder = CodeSetCoder if kind == "code_set" else CategoryCoder
    return coder.fit(values, Column("x", kind, **fields), patients, min_patients)


def again(coder, values):
    return coder.decode(coder.encode(pd.Series(values, dtype=object), RNG(0)), RNG(1)).tolist()


def test_patients_are_counted_once():
    codes, patients = np.array([0, 0, 1, 1, -1]), np.array([7, 7, 7, 8, 9])
    assert count_patients(codes, 3, patients).tolist() == [1, 2, 0]
    assert count_patients(codes, 3, np.array(["x", "x", None, "y", "z"])).tolist() == [1, 2, 0]
    assert count_patients(codes[:0], 3, patients[:0]).tolist() == [0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "é", None]), min_size=1, max_size=40))
def test_frequent_levels_come_back_exactly(values):
    values = values + ["a", "b", "é", None] * 3
    assert again(fit(values), values) == values


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([3, 1, 2] * 4, (1, 2, 3)),
        ([True, False] * 4, (False, True)),
        ([0.5, 0.25, None] * 4, (0.25, 0.5)),
        (["b", "B", "10", "9"] * 4, ("10", "9", "B", "b")),
    ],
)
def test_levels_are_sorted_plain_values(values, levels):
    coder = fit(values)
    assert coder.levels == levels
    assert [type(v) for v in coder.levels] == [type(v) for v in levels]
    assert again(coder, values) == values


def test_ordinal_keeps_the_order_of_the_schema():
    coder = fit(["hi", "lo", "mid"] * 3, "ordinal", categories=("lo", "mid", "hi"))
    assert coder.levels == ("lo", "mid", "hi")
    assert coder.encode(pd.Series(["hi", "lo"]), RNG(0)).tolist() == [2, 0]


def test_rare_levels_are_counted_by_patient_and_never_made():
    values = ["a"] * 60 + ["b"] * 30 + ["r"] * 9 + ["s"]
    patients = [*range(90)] + [0] * 9 + [1]
    coder = fit(values, patients=patients)
    assert coder.levels == ("a", "b") and coder.num_rare == 2 and coder.cardinality == 3
    assert "'r'" not in str(coder) and "'s'" not in str(coder)
    made = coder.decode(np.full(6000, 2), RNG(2))
    # Redrawn in proportion 2 : 1; standard deviation 0.006.
    assert set(made) == {"a", "b"} and abs(np.mean(made == "a") - 2 / 3) < 0.03
    assert fit(values).levels == ("a", "b", "r")


def test_unseen_values_and_unseen_missing():
    common, with_rare = fit(["a"] * 3 + ["b"] * 5), fit(["a"] * 3 + ["b"] * 5 + ["c"])
    assert again(common, ["z", None]) == ["b", "b"]
    assert with_rare.encode(pd.Series(["z"]), RNG(0)).tolist() == [2]
    assert again(fit(["a", None] * 3), [None, "a"]) == [None, "a"]


def test_values_outside_the_declared_ones_are_rare():
    coder = fit(["a"] * 5 + ["z"] * 5, categories=("a", "b"))
    assert coder.levels == ("a",) and coder.num_rare == 1
    assert coder.encode(pd.Series(["a", "z"]), RNG(0)).tolist() == [0, 1]


def test_public_levels_are_kept_even_if_empty():
    coder = fit(["a"] * 4 + ["b"], categories=("a", "b", "c"), public=True)
    assert coder.levels == ("a", "b", "c") and coder.shares == (0.8, 0.2, 0.0)
    assert again(coder, ["b", "c"]) == ["b", "c"]


@pytest.mark.parametrize(
    ("values", "fields", "word"),
    [
        ([None, None], {}, "all missing"),
        (["a", "b", "c"], {}, "shared by 3"),
        (["z"] * 9, {"categories": ("a",), "public": True}, "shared by 3"),
        (["a;b", "c"], {"kind": "code_set"}, "shared by 3"),
        ([None, ""], {"kind": "code_set"}, "no code"),
    ],
)
def test_nothing_to_learn_is_refused(values, fields, word):
    with pytest.raises(InputError, match=f"'x'.*{word}.*Fix"):
        fit(values, **fields)


SETS = ["E11;I10", "I10", "", None]


def test_explode_drops_blanks_and_repeats():
    long = explode_codes(pd.Series([" a ; b;a;", None, "", ";"], index=[9, 8, 7, 6]), ";")
    assert long.to_numpy().tolist() == [[0, "a"], [0, "b"]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(SETS), max_size=30))
def test_code_sets_come_back_exactly(cells):
    cells = cells + SETS * 3
    assert again(fit(cells, "code_set"), cells) == cells


def test_cells_are_sorted_with_their_delimiter():
    coder = fit(["b|a.1|c"] * 3, "code_set", categories=("c", "b", "a.1"), delimiter="|")
    assert again(coder, ["c|a.1", "b"]) == ["a.1|c", "b"]


def test_rare_and_unseen_codes_are_left_out():
    cells, patients = ["a;b"] * 4 + ["a;r"] * 4, [0, 1, 2, 3, 4, 4, 4, 5]
    coder = fit(cells, "code_set", patients=patients)
    assert coder.codes == ("a", "b") and coder.num_rare == 1
    assert again(coder, ["a;r", "zz", None]) == ["a", "", ""]
    public = fit(cells, "code_set", patients=patients, categories=("r", "a", "q"), public=True)
    assert public.codes == ("r", "a", "q") and public.num_rare == 1
