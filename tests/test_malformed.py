"""Odd and broken tables: each goes the whole way there and back, or is refused in plain words."""

import gzip
import io
import json
import re
import warnings
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthdiff._validate import InputError
from synthdiff.data.codec import Codec
from synthdiff.data.conform import conform
from synthdiff.data.doctor import examine, require_healthy
from synthdiff.data.infer import infer_schema
from synthdiff.data.table import find_formulas, read_table, write_table

ROWS = 60
BASE = {"a": [i * i % 7 for i in range(ROWS)], "s": [str("uv"[i % 3 == 0]) for i in range(ROWS)]}
PAIR = ["1", "2"] * 30
MANY = [i % 5 for i in range(ROWS)]


def outcome(path, **roles):
    """The law: None if the table got through, or the words of its refusal.

    Refused is what cannot be read or learnt; what was learnt must come back with its names, dtypes
    and levels. Any other exception is a failure, and so is any warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            df = read_table(path)
            schema = infer_schema(df, **roles)
            require_healthy(df, schema)
            table = conform(df, schema)
            codec = Codec.fit(table, schema)
        except InputError as error:
            assert "Fix" in str(error)
            return str(error)
        check_round_trip(df, table, codec, path.with_name("out.csv"))
    return None


def check_round_trip(df, table, codec, out):
    assert Codec.from_json(json.loads(json.dumps(codec.to_json(), allow_nan=False))) == codec
    records = codec.encode(table, np.random.default_rng(0))
    back = codec.decode(records, np.random.default_rng(1))
    assert list(back.columns) == list(df.columns)
    for column in codec.schema.features:
        old, new = df[column.name], back[column.name]
        plain = old.dtype == object or isinstance(old.dtype, pd.CategoricalDtype)
        assert plain or new.dtype == old.dtype, (column.name, old.dtype, new.dtype)
        if column.is_categorical:
            assert set(new.dropna()) <= set(table[column.name].dropna())
        assert old.isna().any() or not new.isna().any() or (old == "").any()
    write_table(back, out)
    for again in (back, read_table(out)):  # no number is infinite, no date too far
        assert len(conform(again, codec.schema)) == len(table)


def csv(**columns):
    return pd.DataFrame(BASE | columns).to_csv(index=False).encode()


def parquet(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(BASE | columns), file)
    return file.getvalue()


def typed(dtype, null=False):
    values = np.arange(ROWS) % 5
    array = pa.array(values.astype(np.float32) if dtype == "float16" else values).cast(dtype)
    return parquet(x=pa.array([None, *array.to_pylist()[1:]], array.type) if null else array)


def framed(x, index=None):
    file = io.BytesIO()
    df = pd.DataFrame(BASE).assign(x=x)
    (df.set_index(index) if index else df).to_parquet(file)
    return file.getvalue()


def numbered():
    file = io.BytesIO()
    pd.DataFrame({0: MANY, 1: PAIR}).to_parquet(file)
    return file.getvalue()


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("t.csv", data)
    return file.getvalue()


def flipped(data, start, stop):
    return data[:start] + bytes(255 - b for b in data[start:stop]) + data[stop:]


PLAIN, STORED = csv(), parquet()
LINES = PLAIN.decode()
DAY = 86400

# name: (file name, content, what the refusal says, or None where the table must get through)
TEXTS = {
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN, None),
    "latin-1": (csv(n=["José", "Ana"] * 30).decode().encode("latin-1"), "not UTF-8.*latin-1"),
    "utf-16": (LINES.encode("utf-16"), "UTF-16.*encoding="),
    "utf-16 without mark": (LINES.encode("utf-16-le"), "header holds NUL"),
    "utf-32": (LINES.encode("utf-32"), "UTF-16"),
    "invalid bytes": (PLAIN + b"\xff\xfe,u\n", "not UTF-8"),
    "surrogate": (PLAIN + b"1,\xed\xa0\x80\n", "not UTF-8"),
    "semicolon": (PLAIN.replace(b",", b";"), None),
    "tab": (PLAIN.replace(b",", b"\t"), None),
    "bar": (PLAIN.replace(b",", b"|"), None),
    "line ends of Windows": (PLAIN.replace(b"\n", b"\r\n"), None),
    "line ends of old Macs": (PLAIN.replace(b"\n", b"\r"), None),
    "blank lines": (b"\n\n" + PLAIN + b"\n\n", None),
    "short row": (PLAIN + b"1\n", "differ in length.*Row #62"),
    "long row": (PLAIN + b"1,2,3\n", "differ in length.*Row #62"),
    "comment line": (b"# made by x\n" + PLAIN, "differ in length"),
    "repeated name": (b"a,a\n" + b"1,2\n" * 40, "'a' appears twice"),
    "repeated name with spaces": (b"a, a\n" + b"1,2\n" * 40, "'a' appears twice"),
    "blank name": (b" ,b\n" + b"1,2\n" * 40, "no name"),
    "no names": (b",\n" + b"1,2\n" * 40, "no name"),
    "quoted empty name": (b'"",b\n' + b"1,2\n" * 40, "no name"),
    "unicode names": (csv(**{"año \U0001f600": MANY, "‮x": PAIR}), None),
    "formula names": (csv(**{"=cmd|'/c calc'!A0": MANY, "@x": PAIR, "-5": MANY}), None),
    "line break in a name": (csv(**{"two\nlines": MANY, 'q"': PAIR, "a,b": MANY}), None),
    "very long name": (csv(**{"n" * 5000: MANY}), None),
    "dots and slashes": (csv(**{"../../etc/x": MANY, "a/b": PAIR, "..": PAIR}), None),
    "name of the missing token": (csv(**{"(missing)": MANY, "x=y": PAIR}), None),
    "infinite": (csv(x=[np.inf, 1.5, np.nan] * 20), "'x'.*infinite"),
    "infinite as text": (csv(x=["-Infinity", "2"] * 30), "'x'.*infinite"),
    "beyond float64": (csv(x=["1e400", "2"] * 30), "'x'.*infinite"),
    "near the end of float64": (csv(x=[1.7e308, -1.7e308] * 30), "'x'.*beyond 1e\\+150"),
    "far but not too far": (csv(x=[1e150 * np.sin(i) for i in range(ROWS)]), None),
    "subnormal": (csv(x=[1e-310 * i for i in range(ROWS)]), None),
    "beyond 2**53": (csv(x=[2**53 + 1 + i for i in range(ROWS)]), None),
    "end of int64": (csv(x=[2**63 - 1 - i % 7 for i in range(ROWS)]), None),
    "start of int64": (csv(x=[-(2**63) + i % 7 for i in range(ROWS)]), None),
    "beyond int64": (csv(x=[2**64 - 1 - i % 7 for i in range(ROWS)]), None),
    "beyond uint64": (csv(x=[10**30 + i % 7 for i in range(ROWS)]), None),
    "mixed types": (csv(x=[1, "a", 2.5, "2020-01-01", True, None] * 10), None),
    "a word among numbers": (csv(x=[*range(1, ROWS), "unknown"]), "'x'.*id"),
    "iso dates": (csv(x=[f"2020-01-{i % 28 + 1:02d}" for i in range(ROWS)]), None),
    "mixed dates": (csv(x=["2020-01-01", "01/02/2020", "2020-1-1"] * 20), None),
    "first and last year": (csv(x=["9999-12-31", "0001-01-01", "2020-01-01"] * 20), None),
    "dates beyond nanoseconds": (csv(x=["1500-01-01", "2500-03-04", None] * 20), None),
    "no such dates": (csv(x=["0000-00-00", "2020-13-45"] * 30), None),
    "time zones": (csv(x=["2020-01-01T00:00Z", "2020-01-01T00:00+05:30"] * 30), None),
    "yes and no": (csv(x=["yes", "no"] * 30, y=["TRUE", "false"] * 30), None),
    "truth with gaps": (csv(x=["true", "", "false"] * 20), None),
    "every cell another word": (csv(x=[f"c{i}" for i in range(ROWS)]), "'x'.*id"),
    "every two cells another word": (csv(x=[f"c{i // 2}" for i in range(ROWS)]), "'x'.*shared"),
    "cells of a megabyte": (csv(x=["x" * 1_000_000, *["y", "z"] * 29, "y"]), None),
    "constants": (csv(x=[1] * ROWS, y=["k"] * ROWS, z=[1.5] * ROWS, d=["2020-01-01"] * ROWS), None),
    "nothing but constants": (b"a,b\n" + b"1,1\n" * 40, None),
    "constant or missing": (csv(x=[1, None] * 30), None),
    "all missing": (csv(x=[None] * ROWS), "'x'.*missing"),
    "all empty": (b"a,x\n" + b'1,""\n' * 40, "'x'"),
    "nothing at all": (b"a,b\n" + b",\n" * 40, "'a'.*'b'"),
    "empty file": (b"", "empty"),
    "only a line end": (b"\n", "empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", "empty"),
    "only spaces": (b"   \n  \n", "no name"),
    "only a header": (b"a,b\n", "empty"),
    "only NUL": (b"\0" * 100, "NUL"),
    "one row": (b"a,b\n1,2\n", "1 rows"),
    "one column": (b"a\n" + b"1\n2\n2\n" * 20, None),
    "one column with blank lines": (b"a\n" + b"1\n\n2\n" * 30, None),
    "quotes and breaks in cells": (csv(x=['say "hi"', "two\nlines", "c\r\nd", "a,b"] * 15), None),
    "open quote": (PLAIN + b'1,"abc\n2,u\n3,v\n', "'s'.*never closed"),
    "open quote at the end": (PLAIN + b'1,"abc\n', "'s'.*never closed"),
    "open quote first": (PLAIN + b'"1,abc\n2,u\n', "differ in length"),
    "inches": (LINES.replace("u", "5'11\"").encode(), None),
    "NUL in a cell": (PLAIN + b"1,\0\n", "'s'.*NUL"),
    "NUL in a name": (b"a\0b,c\n" + b"1,2\n" * 40, "NUL"),
    "a web page": (b"<!DOCTYPE html><html><table><tr><td>1</td></tr></table>\n", "web page"),
    "a web page with commas": (b"\n <HTML>\n<title>a, b</title>\n</HTML>\n", "web page"),
    "an Excel file": (zipped(PLAIN), "Excel"),
    "an old Excel file": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel"),
    "a Parquet file": (STORED, "Parquet.*rename"),
    "a gzip file": (gzip.compress(PLAIN), "gzip.*rename"),
    "JSON": (b'[{"a": 1}, {"a": 2}]', "empty"),
    "decimal commas": (PLAIN.replace(b",", b";") + b"1,5;u\n" * 20, None),
    "thousands and signs": (csv(x=["1,000", "$20"] * 30, y=["10%", "0x1F"] * 30), None),
    "digits of other scripts": (csv(x=["١٢", "٣"] * 30, y=["−5", "–6"] * 30), None),
    "signs and exponents": (csv(x=["1e5", "+2E3"] * 30, y=["1_000", "2"] * 30), None),
    "words for missing": (csv(x=["NA", "N/A", "null", "None", "-", "."] * 10), None),
    "levels that look alike": (csv(x=["a", "A", "a ", "é", "e\u0301"] * 12), None),
    "numbers as codes": (csv(x=["1", "1.0", "01"] * 20), None),
    "private use character": (csv(x=["\ue000", "b"] * 30), None),
    "no-break spaces": (csv(x=["\u00a0x", "y\u00a0"] * 30), None),
    "negative zero": (csv(x=[-0.0, 0.0, 1.5] * 20), None),
    "formulas": (csv(x=["=1+1", "@a", "+cmd|x", "-x"] * 15), None),
    "code sets": (csv(x=["a;b", "b;c", "a;c;;", ";"] * 15), None),
    "odd code sets": (csv(x=["a=b;=c", "(missing);=c", None] * 20), None),
    "only delimiters": (csv(x=[";", ";;"] * 30), "'x'.*shared"),
}  # fmt: skip

FILES = {
    "gzip": ("t.csv.gz", gzip.compress(PLAIN), None),
    "gzip by name only": ("t.csv.gz", PLAIN, "parsed"),
    "zip by gzip's name": ("t.csv.gz", zipped(PLAIN), "parsed"),
    "cut gzip": ("t.csv.gz", gzip.compress(PLAIN)[:40], "Truncated"),
    "zip": ("t.csv.zip", zipped(PLAIN), r"'\.zip'"),
    "no suffix": ("table", PLAIN, "unknown file type"),
    "cut Parquet": ("t.parquet", STORED[: len(STORED) // 2], "not a readable Parquet"),
    "Parquet without its last byte": ("t.parquet", STORED[:-1], "not a readable Parquet"),
    "Parquet with a hole": ("t.parquet", flipped(STORED, 20, 60), "not a readable Parquet"),
    "Parquet with a bad footer": ("t.parquet", flipped(STORED, -60, -20), "Parquet"),
    "CSV by Parquet's name": ("t.parquet", PLAIN, "not a readable Parquet"),
    "empty Parquet": ("t.parquet", b"", "not a readable Parquet"),
}

STAMPS = pa.array([i * DAY for i in MANY], pa.timestamp("s", "Europe/Paris"))
COLUMNS = {
    "lists": (parquet(x=[[1, 2], [3]] * 30), "'x'.*collection"),
    "lists of text": (parquet(x=[["a", "b"], ["a"]] * 30), "'x'.*collection"),
    "structs": (parquet(x=[{"p": 1, "q": "z"}] * ROWS), "'x'.*collection"),
    "maps": (parquet(x=pa.array([[("k", 1)]] * ROWS, pa.map_("string", "int64"))), "'x'.*coll"),
    "bytes": (parquet(x=pa.array([b"\xff\x00", b"b"] * 30)), "'x'.*bytes"),
    "NUL in text": (parquet(x=["a\0", "b"] * 30), "'x'.*NUL"),
    "decimals": (parquet(x=pa.array([Decimal("1.10"), Decimal("2.25"), None] * 20)), None),
    "long decimals": (parquet(x=pa.array(map(Decimal, MANY), pa.decimal256(60, 2))), None),
    "durations": (parquet(x=pa.array(MANY, pa.duration("s"))), "'x'.*cannot be modelled"),
    "times of day": (parquet(x=pa.array(MANY, pa.time32("s"))), None),
    "zoned stamps": (parquet(x=STAMPS), None),
    "zoned stamps with gaps": (parquet(x=pa.array([None, *STAMPS.to_pylist()[1:]], STAMPS.type)),
                               None),
    "stamps far off": (parquet(x=pa.array([10**14 + i for i in MANY], pa.timestamp("s"))),
                       "'x'.*years 1 to 9999"),
    "first nanoseconds": (parquet(x=pa.array([-(2**63) + 1 + i * 10**15 for i in range(ROWS)],
                                             pa.timestamp("ns"))), None),
    "last nanoseconds": (parquet(x=pa.array([2**63 - 1 - i * 10**15 for i in range(ROWS)],
                                            pa.timestamp("ns"))), None),
    "dates": (parquet(x=pa.array(MANY, pa.date32()), y=pa.array([None, *MANY[1:]], pa.date32())),
              None),
    "dates before year 1": (parquet(x=pa.array([-(10**6) + i for i in MANY], pa.date32())),
                            "'x'.*years 1 to 9999"),
    "dictionary": (parquet(x=pa.array(["u", None] * 30).dictionary_encode()), None),
    "dictionary of numbers": (parquet(x=pa.array([3, 4] * 30).dictionary_encode()), None),
    "dictionary of dates": (parquet(x=pa.array(MANY, pa.date32()).dictionary_encode()), None),
    "nulls": (parquet(x=pa.nulls(ROWS)), "'x'.*missing"),
    "booleans": (parquet(x=[True, False] * 30, y=[True, None, False] * 20), None),
    "large and viewed text": (parquet(x=pa.array(PAIR, pa.large_string()),
                                      y=pa.array(PAIR, pa.string_view())), None),
    "empty text": (parquet(x=["", "v"] * 30), None),
    "infinite floats": (parquet(x=[1.5, float("inf"), float("nan")] * 20), "'x'.*infinite"),
    "end of uint64": (parquet(x=pa.array([2**64 - 1 - i for i in MANY], pa.uint64())), None),
    "empty name": (parquet(**{"": MANY}), "no name"),
    "padded name": (parquet(**{" x ": MANY}), None),
    "padded twice": (parquet(**{" x": MANY, "x ": MANY}), "'x' appears twice"),
    "no rows": (parquet(x=MANY)[:0] or framed([1] * ROWS)[:0], "not a readable Parquet"),
    "named index": (framed(MANY, "s"), None),
    "two named indexes": (framed(MANY, ["s", "a"]), None),
    "ordered": (framed(pd.Categorical(["lo", "hi"] * 30, ["lo", "hi"], ordered=True)), None),
    "ordered with an unused level": (
        framed(pd.Categorical(["lo", "hi"] * 30, ["lo", "hi", "top"], ordered=True)), None),
    "ordered numbers": (framed(pd.Categorical([1, 2] * 30, ordered=True)), None),
    "ordered dates": (framed(pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"] * 30),
                                            ordered=True)), None),
    "numbered columns": (numbered(), None),
    "categories of truth": (framed(pd.Categorical([True, False] * 30)), None),
    "categories all missing": (framed(pd.Categorical([None] * ROWS, ["a"])), "'x'.*missing"),
    "periods": (framed(pd.period_range("2020-01", periods=ROWS, freq="M")), "'x'.*modelled"),
    "nullable": (framed(pd.array([1, None, 2] * 20, "Int64")), None),
    "nullable floats": (framed(pd.array([1.5, None, 2] * 20, "Float32")), None),
    "nullable text": (framed(pd.array(["u", None, "w"] * 20, "string")), None),
    **{kind: (typed(kind), None) for kind in
       ("int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", "float32", "float64")},
    "int8 with a gap": (typed("int8", null=True), None),
    "float16": (typed("float16"), None),
}  # fmt: skip

CASES = {name: ("t.csv", *case) for name, case in TEXTS.items()} | FILES
CASES |= {f"stored {name}": ("t.parquet", *case) for name, case in COLUMNS.items()}


@pytest.mark.parametrize("case", CASES)
def test_nasty_tables_get_through_or_are_refused_in_words(case, tmp_path):
    name, content, refusal = CASES[case]
    (tmp_path / name).write_bytes(content)
    found = outcome(tmp_path / name)
    if refusal is None:
        assert found is None, found
    else:
        assert found is not None and re.search(refusal, found, re.DOTALL), found


@pytest.mark.parametrize(
    "names",
    [["c;d"], ["a", "c;d;e"], ["a|b", "c|d|e\tf"], ["two\nlines", "b;c;d"], ['x"', '"y;z"']],
)
def test_delimiters_in_names_are_no_delimiters(names, tmp_path):
    table = pd.DataFrame({name: ["a;b", "c,d|e", "f"] for name in names})
    for suffix in ("csv", "tsv"):
        write_table(table, tmp_path / f"t.{suffix}")
        pd.testing.assert_frame_equal(read_table(tmp_path / f"t.{suffix}"), table)


@pytest.mark.parametrize(
    ("each", "refusal"),
    [(2, "'town': no value is shared by 5 patients.*group its values"), (6, "")],
)
def test_a_category_of_fifty_thousand_levels(each, refusal, tmp_path):
    """Each held by six patients: all are learnt. By two: refused, for nobody may be told apart."""
    levels = np.repeat([f"T{i:05d}" for i in range(50_000)], each)
    table = pd.DataFrame({"a": np.arange(len(levels)) % 7, "town": levels})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = outcome(tmp_path / "t.csv")
    assert re.search(refusal, found) if refusal else found is None


WORDS = st.sampled_from(
    ["", " ", "NA", "a", "b", "a;b", "b;c", "1", "2.5", "-3", "01", "1e9", "inf", "nan", "true",
     "no", "2020-01-31", "2020-02-30", "0001-01-01", "=1+1", "+a(b)", '"', '""', "'", "x\ny", "\r",
     "é", "\ue000", str(2**53 + 1), str(2**63), "1e400", "5'11\"", ",", "\t", "(missing)"]
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
CELL = WORDS | TEXT | st.integers().map(str) | st.floats().map(repr)
NAME = st.sampled_from(["a", "b", "a ", "=x", "é", "c;d", 'q"', "two\nlines", ""]) | TEXT
POOLS = st.lists(st.lists(CELL, min_size=1, max_size=6), min_size=1, max_size=4)
EXAMPLES = {"deadline": None, "derandomize": True, "database": None,
            "suppress_health_check": [HealthCheck.too_slow]}  # fmt: skip
ROLE = st.sampled_from([{}, {}, {"entity": 0}, {"target": 0}, {"target": -1}])


def quote(cell):
    return '"' + cell.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("malformed")


@settings(max_examples=100, **EXAMPLES)
@given(pools=POOLS, data=st.data(), seed=st.integers(0, 99), quoted=st.booleans(), role=ROLE)
def test_any_cells_obey_the_law(folder, pools, data, seed, quoted, role):
    names = data.draw(st.lists(NAME, min_size=len(pools), max_size=len(pools)))
    rng = np.random.default_rng(seed)
    rows = zip(*([pool[i] for i in rng.integers(0, len(pool), 80)] for pool in pools), strict=True)
    write = quote if quoted else str
    lines = [",".join(map(write, row)) for row in (names, *rows)]
    path = folder / "cells.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    roles = {role_name: names[at].strip() for role_name, at in role.items()}
    outcome(path, **roles)


GOOD = {
    "t.csv": csv(x=[0.5, None, 3] * 20, d=["2020-01-01", "2021-06-30"] * 30, c=["a;b", "b"] * 30)
}
GOOD["t.csv.gz"] = gzip.compress(GOOD["t.csv"], mtime=0)
GOOD["t.parquet"] = parquet(x=[0.5, None, 3] * 20, d=pa.array(MANY, pa.date32()), c=PAIR)


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=40, **EXAMPLES)
@given(where=st.integers(0, 10**6), new=st.binary(max_size=4), cut=st.booleans())
def test_any_damage_obeys_the_law(folder, name, where, new, cut):
    content = GOOD[name]
    where %= len(content)
    rest = b"" if cut else content[where + len(new) :]
    path = folder / name
    path.write_bytes(content[:where] + new + rest)
    outcome(path)


ARROW = [pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.date32(),
         pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.decimal128(12, 3),
         pa.duration("s"), pa.time64("us"), pa.list_(pa.int8()), pa.binary(),
         pa.null()]  # fmt: skip


def random_array(kind, data):
    """80 cells drawn from few values of an Arrow type, some of them missing."""
    if pa.types.is_null(kind):
        return pa.nulls(80)
    values = {
        "bool": st.booleans(), "string": TEXT, "binary": st.binary(max_size=3),
        "list": st.lists(st.integers(0, 9), max_size=3),
        "decimal": st.decimals(-9999, 9999, places=3),
        "float": st.floats(width=32), "double": st.floats(), "int8": st.integers(-128, 127),
        "uint64": st.integers(0, 2**64 - 1), "date32": st.integers(-(10**6), 10**7),
        "timestamp[s": st.integers(-(2**52), 2**52),
        "time64": st.integers(0, 86400 * 10**6 - 1),
    }  # fmt: skip
    key = next((key for key in values if str(kind).startswith(key)), None)
    pool = data.draw(
        st.lists(values.get(key, st.integers(-(2**62), 2**62)), min_size=1, max_size=5)
    )
    if data.draw(st.booleans()):
        pool.append(None)
    cells = pa.array(pool, pa.int32() if pa.types.is_date(kind) else kind).cast(kind)
    return cells.take(pa.array(np.arange(80) % len(pool)))


@settings(max_examples=100, **EXAMPLES)
@given(kinds=st.lists(st.sampled_from(ARROW), min_size=1, max_size=3), data=st.data(), role=ROLE)
def test_any_stored_columns_obey_the_law(folder, kinds, data, role):
    table = {f"c{i}": random_array(kind, data) for i, kind in enumerate(kinds)}
    table["n"] = pa.array(np.arange(80) % 7)
    path = folder / "t.parquet"
    pq.write_table(pa.table(table), path)
    outcome(path, **{name: list(table)[at] for name, at in role.items()})


@pytest.mark.parametrize("broken", ["KeyError", "dtype", "level"])
def test_the_law_can_be_broken(tmp_path, monkeypatch, broken):
    """Power: another exception, a lost dtype and a level nobody had are each noticed."""
    (tmp_path / "t.csv").write_bytes(PLAIN)
    decode = Codec.decode

    def decode_badly(self, records, rng):
        table = decode(self, records, rng)
        if broken == "KeyError":
            raise KeyError("a")
        return table.assign(**{"dtype": {"a": table["a"] + 0.5}, "level": {"s": "w"}}[broken])

    monkeypatch.setattr(Codec, "decode", decode_badly)
    with pytest.raises(KeyError if broken == "KeyError" else AssertionError):
        outcome(tmp_path / "t.csv")


FORMULAS = ("=1+1", "@SUM(A1)", "+cmd|'/c calc'!A0", "-2+HYPERLINK(1)", " =x", "\t=1", "＝1+1",
            "+A1!B2", "-x|y")  # fmt: skip
SIGNS = ("-5", "+", "-", "+/-", "++", "-5 to 0", "- (none)", "a=b", "", "1-2", "-12 mg", "+1.5e3",
         "e@mail", None, -5, 2.5)  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "runs"), [*((f, True) for f in FORMULAS), *((s, False) for s in SIGNS)]
)
def test_formulas_are_told_from_signs(cell, runs):
    assert find_formulas(pd.Series([cell], dtype=object)).tolist() == [runs]
    assert find_formulas(pd.Series([cell, "u"]).astype("category")).tolist() == [runs, False]


def test_numbers_are_no_formulas():
    assert not find_formulas(pd.Series([-5.0, 3.0])).any()


def test_formulas_and_numbers_that_round_are_pointed_out_before_training():
    df = pd.DataFrame(BASE | {"=x": MANY, "big": [2**53 + i % 9 for i in range(ROWS)]})
    df = df.assign(s=["=A1", "v"] * 30)
    found = {(f.column, f.code) for f in examine(df, infer_schema(df)) if f.level == "warning"}
    assert found >= {("=x", "formula"), ("s", "formula"), ("big", "huge_integer")}
    assert ("a", "huge_integer") not in found
