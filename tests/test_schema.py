import json

import numpy as np
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema

SCHEMA = Schema(
    (
        Column("patient", "entity", "int64"),
        Column("age", "integer", "Int64", lower=0, upper=120.5, step=0.1 + 0.2, public=True),
        Column("stage", "ordinal", "str", ("I", "II", "III")),
        Column("group", "categorical", "int64", (1, 2, 30)),
        Column("alive", "boolean", "bool", (False, True)),
        Column("codes", "code_set", "str", ("E11.9", "I10"), delimiter="|"),
        Column("seen", "datetime", "datetime64[us]", lower=-3650.0),
        Column("dose", "continuous", "float32"),
    ),
    target="alive",
    sensitive=("stage", "age"),
)


def test_json_round_trip_is_exact():
    text = json.dumps(SCHEMA.to_json())
    again = Schema.from_json(json.loads(text))
    assert again == SCHEMA
    assert json.dumps(again.to_json()) == text
    assert [type(v) for v in again["group"].categories] == [int, int, int]
    assert again["age"].step == 0.1 + 0.2


def test_file_round_trip(tmp_path):
    SCHEMA.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == SCHEMA


def test_roles():
    assert SCHEMA.entity == "patient"
    assert [column.name for column in SCHEMA.features] == list(SCHEMA.names[1:])
    assert Schema(SCHEMA.columns[1:]).entity is None
    kinds = {c.name: (c.is_numeric, c.is_categorical) for c in SCHEMA.columns}
    assert [name for name, (numeric, _) in kinds.items() if numeric] == ["age", "seen", "dose"]
    assert [name for name, (_, cat) in kinds.items() if cat] == ["stage", "group", "alive"]


def test_edit_changes_one_column_of_a_copy():
    edited = SCHEMA.edit("group", kind="ordinal")
    assert edited["group"] == Column("group", "ordinal", "int64", (1, 2, 30))
    assert SCHEMA["group"].kind == "categorical"
    assert [a == b for a, b in zip(edited.columns, SCHEMA.columns, strict=True)].count(False) == 1
    assert edited.target == "alive" and edited.sensitive == ("stage", "age")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "number"}, ["'x'", "'number'", "continuous"]),
        ({"kind": "ordinal"}, ["'x'", "ordinal without categories", "list the categories"]),
        ({"kind": "integer", "lower": 5, "upper": 2}, ["'x'", "lower 5 > upper 2", "swap"]),
        ({"kind": "categorical", "categories": ("a", "a")}, ["'x'", "repeat", "once"]),
        ({"kind": "integer", "lower": "a"}, ["'x'", "lower 'a'", "finite number", "days since"]),
        ({"kind": "integer", "upper": [3]}, ["'x'", "upper [3]", "finite number"]),
        ({"kind": "integer", "lower": float("nan")}, ["'x'", "lower nan", "finite number"]),
        ({"kind": "integer", "lower": True}, ["'x'", "lower True", "finite number"]),
        ({"kind": "integer", "step": "1"}, ["'x'", "step '1'", "a number above 0"]),
        ({"kind": "integer", "step": 0}, ["'x'", "step 0 is not above 0"]),
        ({"kind": 3}, ["'x'", "kind 3 is not text"]),
        ({"kind": "integer", "dtype": None}, ["'x'", "dtype None is not text"]),
        ({"kind": "code_set", "delimiter": ""}, ["'x'", "delimiter is empty"]),
        ({"kind": "categorical", "categories": "abc"}, ["'x'", "'abc' are not a list"]),
        ({"kind": "categorical", "categories": (None,)}, ["'x'", "category None"]),
        ({"kind": "categorical", "categories": (["a"],)}, ["'x'", "category ['a']"]),
        ({"kind": "integer", "public": "yes"}, ["'x'", "public 'yes'", "true or false"]),
    ],
)
def test_a_bad_column_is_named_with_its_fix(fields, words):
    with pytest.raises(InputError) as caught:
        Column("x", **fields)
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)


def test_numbers_of_numpy_are_numbers():
    column = Column("x", "integer", lower=np.int64(1), upper=np.float32(2.5), step=0.5)
    assert (column.lower, column.upper) == (1, 2.5)
    assert len(Column("x", "ordinal", categories=(np.int64(0), 2.5, np.True_, "a")).categories) == 4


def test_equal_bounds_are_allowed():
    assert Column("x", "integer", lower=3, upper=3).upper == 3


AGE = Column("age", "integer")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Schema((AGE, AGE)), ["'age'", "twice", "rename"]),
        (lambda: Schema((AGE, Column("a", "entity"), Column("b", "entity"))), ["one entity"]),
        (lambda: Schema((Column("a", "entity"),)), ["no column to model"]),
        (lambda: Schema((AGE,), target="sex"), ["'sex'", "'age'"]),
        (lambda: Schema((AGE,), sensitive=("race",)), ["'race'", "'age'"]),
        (lambda: Schema((AGE,))["sex"], ["'sex'", "'age'"]),
        (lambda: Schema((AGE,)).edit("sex", kind="boolean"), ["'sex'", "'age'"]),
    ],
)
def test_a_bad_schema_is_explained(make, words):
    with pytest.raises(InputError) as caught:
        make()
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 99}, "99"),
        ({"version": None}, "None"),
        ({"columns": [{"name": "a", "kind": "integer", "colour": "red"}]},
         r"columns\[0\] \('a'\): unknown field 'colour'. Fix: use one of name, kind, "),
        ({"columns": [{"kind": "integer"}]}, r"columns\[0\]: has no 'name'. Fix: add it"),
        ({"columns": [{"name": "a"}]}, r"columns\[0\] \('a'\): has no 'kind'"),
        ({"columns": ["age"]}, r"columns\[0\]: 'age' is not an object. Fix: write"),
        ({"columns": 3}, "columns 3 are not a list. Fix"),
        ({"columns": [{"name": "a", "kind": "ordinal", "categories": "b"}]}, "'b' are not a list"),
        ({"columns": [{"name": "a", "kind": "ordinal", "categories": 5}]}, "5 are not a list"),
        ({"sensitive": "sex"}, "sensitive 'sex' is not a list"),
        ({"sensitive": 4}, "sensitive 4 is not a list"),
        ({"target": ["sex"]}, r"no column named \['sex'\]"),
        ({"entity": "sex"}, "unknown field 'entity'. Fix: use one of version, columns"),
        ({"columns": [{"name": "a", "kind": "thing"}]}, "'thing'"),
        ({"target": "nobody"}, "'nobody'"),
    ],
)  # fmt: skip
def test_a_bad_file_is_explained(change, word):
    with pytest.raises(InputError, match=word):
        Schema.from_json({**SCHEMA.to_json(), **change})


def test_missing_fields_take_their_defaults():
    data = {"version": 1, "columns": [{"name": "a", "kind": "integer"}]}
    assert Schema.from_json(data) == Schema((Column("a", "integer"),))


def test_no_columns_key_is_explained():
    with pytest.raises(InputError, match=r"schema: has no 'columns'. Fix: add it"):
        Schema.from_json({"version": 1})


@pytest.mark.parametrize("text", ["{}", '{"version": 2}', '{"version": 1, "columns": [1]}'])
def test_a_mistake_in_a_file_names_the_file(text, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.json: schema.*Fix: "):
        Schema.load(path)


def test_not_json_names_the_file(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text("columns: []")
    with pytest.raises(InputError, match=r"schema\.json: is damaged, not JSON.*Fix"):
        Schema.load(path)
