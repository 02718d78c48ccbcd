import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthdiff._validate import InputError
from synthdiff.data.table import as_text, codes_from_long, read_table, write_table


def write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def test_types_are_taken_only_where_nothing_is_lost(tmp_path):
    text = (
        "whole,real,gaps,flag,maybe,zip,date,word,nothing\n"
        "1,1.0, 3 ,True,true,02139,2020-01-31,a b,\n"
        "-2,2e3,NA,false,,10001,2020-02-01,None,NA\n"
    )
    df = read_table(write(tmp_path, text))
    dtypes = {name: str(dtype) for name, dtype in df.dtypes.items()}
    assert dtypes["whole"] == "int64" and df["whole"].tolist() == [1, -2]
    assert dtypes["real"] == "float64" and df["real"].tolist() == [1.0, 2000.0]
    assert dtypes["gaps"] == "float64" and df["gaps"].iloc[0] == 3 and np.isnan(df["gaps"].iloc[1])
    assert dtypes["flag"] == "bool" and df["flag"].tolist() == [True, False]
    assert dtypes["maybe"] == "boolean" and df["maybe"].iloc[1] is pd.NA
    assert df["zip"].tolist() == ["02139", "10001"]
    assert df["date"].tolist() == ["2020-01-31", "2020-02-01"]
    assert df["word"].tolist() == ["a b", "None"]
    assert df["nothing"].isna().all()


@pytest.mark.parametrize("cell", ["0389", "-01", "007.5", "12a", "E11"])
def test_one_cell_that_is_no_plain_number_keeps_the_column_text(tmp_path, cell):
    df = read_table(write(tmp_path, f"code\n1\n{cell}\n"))
    assert df["code"].tolist() == ["1", cell]


@pytest.mark.parametrize("cell", ["0", "0.5", "-0.25", "10"])
def test_a_single_leading_zero_is_a_number(tmp_path, cell):
    assert read_table(write(tmp_path, f"x\n1\n{cell}\n"))["x"].tolist() == [1, float(cell)]


def test_missing_markers_can_be_replaced(tmp_path):
    path = write(tmp_path, "country,age\nNA,12\n?, ?\n")
    assert read_table(path)["country"].isna().tolist() == [True, False]
    df = read_table(path, missing=["?"])
    assert df["country"].fillna("-").tolist() == ["NA", "-"]
    assert df["age"].iloc[0] == 12 and np.isnan(df["age"].iloc[1])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv"])
def test_the_delimiter_is_read_off_the_header(tmp_path, delimiter, suffix):
    rows = [["a", "b", "c"], ["1", "x", "2.5"], ["2", "y", "3.5"]]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    df = read_table(write(tmp_path, text, "t" + suffix))
    assert df.to_dict("list") == {"a": [1, 2], "b": ["x", "y"], "c": [2.5, 3.5]}


def test_codes_with_semicolons_do_not_fool_the_delimiter(tmp_path):
    df = read_table(write(tmp_path, "id,codes\n1,a;b;c\n2,d;e;f\n"))
    assert df["codes"].tolist() == ["a;b;c", "d;e;f"]


FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [0.1 + 0.2, np.nan, 3.0],
        "set": ["", "a;b", None],
        "text": ['say "hi", now', "two\nlines", "=1+1"],
        "flag": [True, False, True],
    }
)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet"])
def test_write_then_read_gives_the_same_table(tmp_path, name):
    before = FRAME.copy()
    write_table(FRAME, tmp_path / name)
    again = read_table(tmp_path / name)
    pd.testing.assert_frame_equal(again, FRAME)
    assert again["set"].tolist()[:2] == ["", "a;b"] and pd.isna(again["set"].iloc[2])
    pd.testing.assert_frame_equal(FRAME, before)


def test_pandas_alone_would_lose_the_empty_set(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")["set"].isna().sum() == 2


def test_equal_tables_give_equal_bytes(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(FRAME, tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    # Bytes 4 to 7 of a gzip file are its time stamp.
    assert (tmp_path / "a.csv.gz").read_bytes()[4:8] == bytes(4)


def test_a_written_category_is_its_label(tmp_path):
    write_table(pd.DataFrame({"c": pd.Categorical(["u", "", "v"])}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["c"].tolist() == ["u", "", "v"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_floats_survive_csv_exactly(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("f") / "t.csv"
    write_table(pd.DataFrame({"x": values}), path)
    assert read_table(path)["x"].astype(float).tolist() == values


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv", "", ["empty", "header"]),
        ("t.csv", "a,b\n1,2\n3\n", ["length", "Row #3", "quote"]),
        ("t.csv", "a,b\n1,2\n3,4,5\n", ["length", "Expected 2 columns, got 3"]),
        ("t.csv", "name\nJosé\n".encode("latin-1"), ["UTF-8", "latin-1"]),
        ("t.csv", "a,a\n1,2\n", ["'a'", "twice", "rename"]),
        ("t.csv", ",a\n0,2\n", ["no name", "index"]),
        ("t.parquet", "not parquet", ["Parquet"]),
        ("t.xlsx", "x", [".xlsx", ".csv", ".parquet"]),
    ],
)
def test_unreadable_files_are_explained(tmp_path, name, data, words):
    path = write(tmp_path, data, name)
    with pytest.raises(InputError) as caught:
        read_table(path)
    for word in [str(path), *words, "Fix:"]:
        assert word in str(caught.value)


def test_other_problems_with_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "t.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t\.csv\.gz"):
        read_table(tmp_path / "t.csv.gz")
    with pytest.raises(InputError, match="encoding"):
        read_table(write(tmp_path, "a\nx\n"), encoding="no-such-code")
    with pytest.raises(InputError, match=r"\.xlsx"):
        write_table(FRAME, tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="one type"):
        write_table(pd.DataFrame({"a": [1, "x"]}, dtype=object), tmp_path / "t.parquet")


def test_latin1_can_be_asked_for(tmp_path):
    path = write(tmp_path, "né\nJosé\n".encode("latin-1"))
    assert read_table(path, encoding="latin-1")["né"].tolist() == ["José"]


def test_a_header_alone_gives_no_rows(tmp_path):
    assert read_table(write(tmp_path, "a,b\n")).shape == (0, 2)


def test_as_text():
    values = pd.Series([250.0, 250.5, " x ", None, True, np.int64(7)], dtype=object)
    assert as_text(values).fillna("-").tolist() == ["250", "250.5", "x", "-", "True", "7"]


def test_codes_from_long():
    long = pd.DataFrame(
        {
            "who": [3, 1, 3, 3, 2, 1],
            "icd": ["I10", "E11.9", "E11.9", "I10", None, " A01 "],
        }
    )
    sets = codes_from_long(long, "who", "icd")
    assert sets.name == "icd" and sets.index.name == "who"
    assert sets.to_dict() == {1: "A01;E11.9", 2: "", 3: "E11.9;I10"}
    pd.testing.assert_series_equal(
        codes_from_long(long.sample(frac=1, random_state=0), "who", "icd"), sets
    )
    assert codes_from_long(long, "who", "icd", "|")[3] == "E11.9|I10"


def test_the_codes_of_a_set_are_sorted():
    codes = list("qwertyuiop")
    long = pd.DataFrame({"who": 1, "code": codes})
    assert codes_from_long(long, "who", "code")[1] == ";".join(sorted(codes))


def test_numeric_codes_are_written_whole():
    long = pd.DataFrame({"who": ["a", "a", "b"], "code": [250.0, 38.0, np.nan]})
    assert codes_from_long(long, "who", "code").to_dict() == {"a": "250;38", "b": ""}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"who": [1], "kode": ["a"]}, ["'code'", "'kode'"]),
        ({"who": [1, None], "code": ["a", "b"]}, ["'who'", "row 1"]),
        ({"who": [1], "code": ["a;b"]}, ["'a;b'", "delimiter"]),
    ],
)
def test_bad_long_tables_are_explained(frame, words):
    with pytest.raises(InputError) as caught:
        codes_from_long(pd.DataFrame(frame), "who", "code")
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)
