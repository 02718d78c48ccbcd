import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table

DATES = ["2020-01-31", "1999-12-01", None]
LEVELS = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)


def kind_of(values, **roles):
    column = infer_schema(pd.DataFrame({"x": values}), **roles)["x"]
    return column.kind, column.dtype


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        ([True, False], "boolean", "bool"),
        (pd.Series([True, None], dtype="boolean"), "boolean", "boolean"),
        (pd.Series([True, None, False], dtype=object), "boolean", "boolean"),
        ([0, 1, 1], "boolean", "int64"),
        ([0.0, 1.0, np.nan], "boolean", "float64"),
        ([0, 1, 2], "integer", "int64"),
        ([0, 0, 0], "integer", "int64"),
        ([1, 2, 1], "integer", "int64"),
        ([3.0, np.nan, -5.0], "integer", "float64"),
        (pd.Series([3, None], dtype="Int64"), "integer", "Int64"),
        (pd.Series([3, 4], dtype=object), "integer", "int64"),
        ([3.0, 4.5], "continuous", "float64"),
        (np.array([0.5, 1.5], np.float32), "continuous", "float32"),
        ([np.nan, np.nan], "continuous", "float64"),
        (pd.to_datetime(["2020-01-01", None]).as_unit("us"), "datetime", "datetime64[us]"),
        (pd.Series(DATES, dtype=object), "datetime", "object"),
        (pd.Series(["2020-01-31T10:00:00Z", "2020-01-31 10:00"], dtype=object), "datetime", None),
        (pd.Series(["2020-01-31", "unknown"], dtype=object), "categorical", "object"),
        (pd.Series(["2020-13-31", "2020-01-31"], dtype=object), "categorical", "object"),
        (pd.Series(["31/01/2020", "01/02/2020"], dtype=object), "categorical", "object"),
        (pd.Series(["2020", "2021"], dtype=object), "categorical", "object"),
        (pd.Series(["yes", "no"], dtype=object), "categorical", "object"),
        (pd.Series(["0389", "4019"], dtype=object), "categorical", "object"),
        (pd.Series(["a", 1], dtype=object), "categorical", "object"),
        (pd.Series(["low", "high"], dtype="category"), "categorical", "category"),
        (pd.Series([3, 4, 3], dtype="category"), "categorical", "category"),
        (pd.Series(["low", "high"], dtype=LEVELS), "ordinal", "category"),
    ],
)
def test_kind_and_dtype(values, kind, dtype):
    found = kind_of(values)
    assert found == (kind, dtype or found[1])


def test_ordered_levels_are_kept_in_order():
    column = infer_schema(pd.DataFrame({"x": pd.Series(["high", "low"], dtype=LEVELS)}))["x"]
    assert column.categories == ("low", "mid", "high")


def test_text_dtype_of_a_file_is_kept(tmp_path):
    (tmp_path / "t.csv").write_text("day,word\n2020-01-31,a\n,b\n")
    df = read_table(tmp_path / "t.csv")
    schema = infer_schema(df)
    assert schema["day"].kind == "datetime" and schema["day"].dtype == str(df["word"].dtype)


def test_blank_cells_are_missing():
    assert kind_of(pd.Series(["2020-01-31", "", " "], dtype=object))[0] == "datetime"


def test_a_date_after_many_good_ones_still_counts():
    values = pd.Series(["2020-01-31"] * 500 + ["soon"], dtype=object)
    assert kind_of(values)[0] == "categorical"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a;b", "b;c", "a;c", "a"], "code_set"),
        (["a;b", "b;a", None, "", "c;b;a"], "code_set"),
        # Free text: a delimiter in most cells, but nothing recurs.
        (["pain; nausea", "fever; cough", "rash; itch"], "categorical"),
        # A delimiter in too few cells.
        (["a;b", "a", "b", "a", "b"], "categorical"),
        (["a,b", "b,a", "a,b"], "categorical"),
    ],
)
def test_code_sets_are_recognised(cells, kind):
    assert kind_of(pd.Series(cells, dtype=object))[0] == kind


def test_named_code_sets_need_no_evidence():
    df = pd.DataFrame({"x": ["I10", "E11|I10"], "y": [1, 2]})
    schema = infer_schema(df, code_sets={"x": "|"})
    assert schema["x"].kind == "code_set" and schema["x"].delimiter == "|"
    assert schema["y"].kind == "integer"


def test_a_target_with_few_whole_values_is_a_class():
    few, many = [0, 1, 2, 3] * 3, list(range(12))
    assert kind_of(few, target="x") == ("categorical", "int64")
    assert kind_of(many, target="x") == ("integer", "int64")
    assert kind_of([0, 1] * 3, target="x") == ("boolean", "int64")
    assert kind_of(few, sensitive=["x"]) == ("integer", "int64")


def test_roles_are_recorded():
    df = pd.DataFrame({"who": [1, 1, 2], "age": [30, 31, 50], "sex": ["f", "f", "m"]})
    schema = infer_schema(df, entity="who", target="age", sensitive=["sex"])
    assert schema.names == ("who", "age", "sex")
    assert (schema.entity, schema.target, schema.sensitive) == ("who", "age", ("sex",))


def test_nothing_is_fitted_from_the_data():
    """Two tables with the same kinds but disjoint values have the same schema, and it is JSON."""

    def table(shift):
        return pd.DataFrame(
            {
                "n": np.arange(5) * 3 + shift,
                "x": np.arange(5) / 7 + shift,
                "word": [f"w{i + shift}" for i in range(5)],
                "set": [f"a{shift};b{shift}"] * 5,
                "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(5) + shift, "D"),
            }
        )

    schema = infer_schema(table(2))
    assert schema == infer_schema(table(1000))
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    assert all(c.lower is c.upper is c.step is None and not c.categories for c in schema.columns)


def test_rows_in_any_order_give_the_same_schema():
    df = pd.DataFrame({"a": [1, 2, None], "b": ["2020-01-01", "x", None], "c": [0, 1, 1]})
    assert infer_schema(df) == infer_schema(df.iloc[::-1])


@pytest.mark.parametrize(
    ("df", "roles", "words"),
    [
        (pd.DataFrame(), {}, ["empty"]),
        (pd.DataFrame({"a": []}), {}, ["empty", "(0, 1)"]),
        (pd.DataFrame({"a": [1]}), {"entity": "b"}, ["'b'", "'a'"]),
        (pd.DataFrame({"a": [1]}), {"target": "b"}, ["'b'", "'a'"]),
        (pd.DataFrame({"a": [1]}), {"code_sets": {"b": ";"}}, ["'b'", "'a'"]),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, ["'a'", "twice"]),
        (pd.DataFrame([[1, 2]]), {}, ["column 0", "not text"]),
        (pd.DataFrame({"a": [["x", "y"]]}), {}, ["'a'", "['x', 'y']", "row 0", "code_sets"]),
        (pd.DataFrame({"a": pd.to_timedelta([1], "D")}), {}, ["'a'", "timedelta", "days"]),
        (pd.DataFrame({"a": [1j]}), {}, ["'a'", "complex"]),
        (
            pd.DataFrame({"a": pd.cut([1.0, 2.0], 2)}),
            {},
            ["'a'", "Interval", "rename the categories"],
        ),
    ],
)
def test_bad_input_is_explained(df, roles, words):
    with pytest.raises(InputError) as caught:
        infer_schema(df, **roles)
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)


@pytest.mark.skipif(
    "SYNTHDIFF_DATA" not in os.environ, reason="SYNTHDIFF_DATA does not name the data directory"
)
def test_kinds_of_a_real_hospital_table():
    path = next(Path(os.environ["SYNTHDIFF_DATA"]).rglob("diabetic_data.csv*"), None)
    if path is None:
        pytest.skip("diabetic_data.csv is not under SYNTHDIFF_DATA")
    df = read_table(path, missing=["?"])
    schema = infer_schema(df, entity="patient_nbr", target="readmitted", sensitive=["race"])
    assert len(schema.columns) == 50
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds["patient_nbr"] == "entity"
    assert kinds["diag_1"] == kinds["age"] == kinds["readmitted"] == "categorical"
    assert kinds["time_in_hospital"] == kinds["num_medications"] == "integer"
