import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.codec import Codec
from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema

RNG = np.random.default_rng
SIZE = 400
SCHEMA = Schema(
    (
        Column("patient", "entity", "int64"),
        Column("age", "integer", "Int64", lower=0, upper=120),
        Column("stage", "ordinal", "category", ("I", "II", "III")),
        Column("ward", "categorical", "int64"),
        Column("alive", "boolean", "bool"),
        Column("smoker", "boolean", "boolean"),
        Column("codes", "code_set", "str"),
        Column("seen", "datetime", "datetime64[us]"),
        Column("born", "datetime", "str"),
        Column("dose", "continuous", "float32"),
        Column("site", "categorical", "str"),
    )
)


def table(size=SIZE, seed=0):
    """Everything but `dose` is made of values that many patients share."""
    rng = RNG(seed)
    hours = pd.to_timedelta(rng.choice([5, 30, 75], size), unit="h")
    raw = pd.DataFrame(
        {
            "patient": 1000 + np.arange(size),
            "age": rng.choice([20, 30, 41, np.nan], size),
            "stage": rng.choice(["I", "II", "III"], size),
            "ward": rng.choice([3, 7], size),
            "alive": rng.random(size) < 0.5,
            "smoker": rng.choice(np.array(["yes", "no", None], dtype=object), size),
            "codes": rng.choice(np.array(["E11;I10", "I10", "", None], dtype=object), size),
            "seen": pd.Series(pd.Timestamp("2020-03-01") + hours).astype("datetime64[us]"),
            "born": rng.choice(np.array(["1950-01-31", "2001-12-01", None], dtype=object), size),
            "dose": np.where(rng.random(size) < 0.3, np.nan, rng.lognormal(0, 1, size)),
            "site": "one",
        }
    )
    return conform(raw, SCHEMA)


def fit(df=None, schema=SCHEMA, **options):
    return Codec.fit(table() if df is None else df, schema, **options)


def one_column(values, **fields):
    """Codec of, and conformed table with, the single column `x`."""
    schema = Schema((Column("x", **fields),))
    df = conform(pd.DataFrame({"x": pd.Series(values)}), schema)
    return Codec.fit(df, schema), df


def again(codec, df):
    return codec.decode(codec.encode(df, RNG(1)), RNG(2))


def given(codec, **where):
    df = pd.DataFrame({name: [value] * 3 for name, value in where.items()})
    return codec.encode_given(df, 3, RNG(0))


def test_ranks_are_of_numbers_and_ordinal_columns():
    layout = fit().layout
    ranks = {
        layout.tokens[layout.categorical_token[at]]: places
        for at, places in enumerate(layout.ranks)
    }
    assert ranks["age"] == ranks["stage"] == (0, 0.5, 1)  # missing has no place
    assert not ranks["ward"] and not ranks["site"] and not ranks["codes=E11"]


def test_ranks_are_of_columns_of_codes():
    codes = [f"{i}" for i in range(240, 260)] + ["250.8", "V57", "E11", "?"]
    codec, _ = one_column(np.repeat(codes, 6), kind="categorical")
    levels, (ranks,) = codec.coders[0].levels, codec.layout.ranks
    ordered = [levels[at] for at in np.argsort(ranks)]
    assert ordered == [*codes[:11], "250.8", *codes[11:20], "E11", "V57", "?"]
    for others in (codes[:19], [f"ward {i}" for i in range(30)]):
        assert one_column(np.repeat(others, 6), kind="categorical")[0].layout.ranks == ((),)


def test_ranks_place_spikes_among_the_bins():
    values = np.concatenate([np.linspace(0, 10, 202)[1:-1], np.full(50, 5.0), np.full(50, -1.0)])
    codec, _ = one_column(values, kind="continuous")
    coder = codec.coders[0]
    assert coder.num_bins == 4 and coder.spikes == (-1.0, 5.0)
    np.testing.assert_allclose(coder.middles, [1.25, 3.75, 6.25, 8.75, -1, 5], atol=0.1)
    np.testing.assert_allclose(codec.layout.ranks[0], [0.2, 0.4, 0.8, 1, 0, 0.6])


def test_shared_values_come_back_exactly():
    df = table()
    made = again(fit(df), df)
    assert list(made.columns) == list(SCHEMA.names)
    exact = [name for name in SCHEMA.names if name not in ("patient", "dose", "born", "stage")]
    pd.testing.assert_frame_equal(made[exact], df[exact])
    assert made["born"].dtype == "str" and made["stage"].cat.ordered
    assert made["stage"].cat.categories.tolist() == ["I", "II", "III"]
    assert made["stage"].astype(str).tolist() == df["stage"].tolist()
    assert pd.to_datetime(made["born"]).equals(df["born"].astype("datetime64[us]"))
    np.testing.assert_array_equal(made["dose"].isna(), df["dose"].isna())
    assert made["dose"].dtype == "float32"
    error = (made["dose"] - df["dose"]).abs()
    assert error.median() < 0.01 * df["dose"].std()


def test_records_fit_the_layout():
    codec = fit()
    layout, records = codec.layout, codec.encode(table(), RNG(0))
    assert records.continuous.shape == (SIZE, 1) and records.continuous.dtype == np.float32
    assert records.categorical.shape == (SIZE, layout.num_categorical)
    assert np.all(records.categorical >= 0)
    np.testing.assert_array_equal(records.categorical.max(0) + 1, layout.cardinalities)
    gate = records.categorical[:, layout.gate[0]]
    assert layout.part_names[0] == "dose" == layout.tokens[layout.categorical_token[layout.gate[0]]]
    assert np.all((records.continuous[:, 0] == 0) == (gate >= layout.num_bins[0]))
    assert "codes=I10" in layout.tokens and "codes=(missing)" in layout.tokens
    # The masked category K must fit too.
    assert np.iinfo(records.categorical.dtype).max >= max(layout.cardinalities)


def test_json_round_trip():
    codec = fit()
    text = json.dumps(codec.to_json(), allow_nan=False)
    same = Codec.from_json(json.loads(text))
    assert same == codec and json.dumps(same.to_json()) == text
    for a, b in zip(codec.encode(table(), RNG(3)), same.encode(table(), RNG(3)), strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(again(codec, table()), again(same, table()))
    with pytest.raises(InputError, match=r"version \(99\)"):
        Codec.from_json({**codec.to_json(), "version": 99})


@pytest.mark.parametrize("seed", range(6))
def test_row_order_does_not_matter(seed):
    df = table()
    assert fit(df.sample(frac=1, random_state=0)).layout == fit(df).layout
    df["dose"] = df["dose"].round(1)  # ties, between people with few and with many rows
    ids = (RNG(seed).random(SIZE) ** 3 * 60).astype(int)
    order = RNG(seed + 50).permutation(SIZE)
    df["patient"] = ids
    codecs = [fit(df), fit(df.iloc[order])]
    a, b = (c.coders[SCHEMA.features.index(SCHEMA["dose"])] for c in codecs)
    np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
    assert codecs[0].coders[:3] == codecs[1].coders[:3]


def test_the_release_holds_nothing_of_one_person():
    df = table().astype({"stage": object, "site": object, "codes": object})
    odd = df.iloc[[0]].assign(
        patient=77777, dose=1e9, age=119, stage="III", site="Secretville", codes="Z99.9"
    )
    schema = SCHEMA.edit("stage", categories=("I", "II", "III", "IV")).edit(
        "codes", categories=("E11", "I10", "Z99.9")
    )
    df = pd.concat([df, odd.assign(stage="IV")], ignore_index=True)
    text = json.dumps(fit(df, schema).to_json())
    for secret in ("77777", "Secretville", "Z99.9", '"IV"', "119", "e+0"):
        assert secret not in text
    shared = json.dumps(
        fit(pd.concat([df] + [odd] * 9).assign(patient=range(410)), schema).to_json()
    )
    assert "Secretville" in shared and "Z99.9" in shared
    # The same ten rows of one person are not shared.
    repeated = json.dumps(fit(pd.concat([df] + [odd] * 9), schema).to_json())
    assert "Secretville" not in repeated and "Z99.9" not in repeated


def test_public_vocabulary_is_kept():
    schema = SCHEMA.edit("stage", categories=("0", "I", "II", "III"), public=True)
    codec = fit(schema=schema)
    assert codec.schema == schema and codec.coders[1].levels == ("0", "I", "II", "III")


def test_notes_count_what_is_rare():
    df = table().astype({"site": object})
    df.loc[:2, "site"] = ["x", "y", "z"]
    notes = fit(df, min_patients=4).notes()
    assert any("site: 3 values" in note and "fewer than 4" in note for note in notes)


@pytest.mark.parametrize(
    ("fields", "values", "dtype"),
    [
        ({"kind": "integer", "dtype": "int64"}, [1, 2, None], "Int64"),
        ({"kind": "integer", "dtype": "uint8"}, [1, 2, 250], "uint8"),
        ({"kind": "integer", "dtype": "str"}, ["1", "2", "30"], "int64"),
        ({"kind": "boolean", "dtype": "bool"}, [True, False, None], "boolean"),
        ({"kind": "boolean", "dtype": "int64"}, [1, 0, 0], "int64"),
        ({"kind": "boolean", "dtype": "int64"}, [1, 0, None], "Int64"),
        ({"kind": "categorical", "dtype": "float64"}, [1.5, 2.5, None], "float64"),
        ({"kind": "categorical", "dtype": "category"}, ["b", "a", None], "category"),
        ({"kind": "categorical", "dtype": "object"}, ["b", "a", None], "object"),
        ({"kind": "categorical", "dtype": "string"}, ["b", "a", None], "string"),
        ({"kind": "code_set", "dtype": "object"}, ["b", "a;b", None], "object"),
        ({"kind": "datetime", "dtype": "str"}, ["2020-01-01", "1931-05-06", None], "str"),
        (
            {"kind": "datetime", "dtype": "str"},
            ["2020-01-01 10:20:30", "2020-01-02 00:00:00"],
            "str",
        ),
        (
            {"kind": "datetime", "dtype": "datetime64[us, Europe/Rome]"},
            pd.to_datetime(["2020-06-01 10:00", None]).tz_localize("Europe/Rome"),
            "datetime64[us, Europe/Rome]",
        ),
    ],
)
def test_dtypes_come_back(fields, values, dtype):
    raw = pd.Series(list(values) * 9)
    codec, df = one_column(raw, **fields)
    made = again(codec, df)["x"]
    assert made.dtype == dtype
    for a, b in zip(made, raw, strict=True):
        assert (pd.isna(a) and pd.isna(b)) or a == (int(b) if dtype == "int64" else b)


def test_small_integers_do_not_wrap():
    codec, df = one_column(RNG(0).integers(-120, 127, 3000), kind="integer", dtype="int8")
    records = codec.encode(df, RNG(0))
    last = np.full((3000, 1), codec.coders[0].num_bins - 1)
    made = codec.decode(records._replace(continuous=last * 0 + 4.5, categorical=last), RNG(0))["x"]
    assert made.dtype == "int8" and made.min() > 100


@pytest.mark.parametrize("kind, dtype", [("integer", "int64"), ("boolean", "bool")])
def test_no_dtype_depends_on_the_rows(kind, dtype):
    """A piece without a missing cell is as the whole is."""
    codec, df = one_column([1, 0, None] * 9, kind=kind, dtype=dtype)
    whole, piece = again(codec, df)["x"], again(codec, df.head(2))["x"]
    assert whole.isna().any() and not piece.isna().any() and piece.dtype == whole.dtype


@pytest.mark.parametrize(
    ("unit", "shape"), [("D", r"\d{4}-\d\d-\d\d"), ("h", r"\d{4}-\d\d-\d\d \d\d:00:00")]
)
def test_text_dates_have_one_form(unit, shape):
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG(0).integers(0, 9999, 800), unit=unit)
    schema = Schema((Column("x", "datetime", "str"),))
    df = pd.DataFrame({"x": days.astype(str)})
    codec = Codec.fit(df, schema)
    for piece in (df, df.iloc[:1], df[days.hour == 0].iloc[:1]):
        made = codec.decode(codec.encode(piece, RNG(0)), RNG(0))["x"]
        assert made.str.fullmatch(shape).all()


def test_a_piece_is_encoded_and_decoded_as_within_the_whole():
    """Of columns that need random numbers: steps to spread over, rare values to redraw."""
    columns = (Column("n", "integer", "int64"), Column("k", "categorical", "str"))
    names = [*RNG(2).choice(["a", "b", "c"], 380), *(f"rare{i}" for i in range(20))]
    df = pd.DataFrame({"n": RNG(1).integers(0, 900, SIZE), "k": names})[::-1].reset_index(drop=True)
    codec = Codec.fit(df, Schema((*columns, Column("p", "entity", "str"))))
    whole, _ = codec.encode_given(df, SIZE, RNG(3))
    made = codec.decode(whole, RNG(4))
    differs = []
    for first, stop in ((0, 9), (5, 17), (1, 20)):
        piece, _ = codec.encode_given(df.iloc[first:stop], stop - first, RNG(3), first)
        for part, everything in zip(piece, whole, strict=True):
            np.testing.assert_array_equal(part, everything[first:stop])
        again = codec.decode(piece, RNG(4), first).set_axis(range(first, stop))
        pd.testing.assert_frame_equal(again, made.iloc[first:stop])
        other, _ = codec.encode_given(df.iloc[first:stop], stop - first, RNG(3))
        differs += [not np.array_equal(other.continuous, piece.continuous)]
        differs += [not codec.decode(piece, RNG(4))["k"].equals(again["k"].reset_index(drop=True))]
    assert differs == [False, False, True, True, True, True]  # so first does matter


@pytest.mark.parametrize("unit", ["D", "h", "min", "s"])
def test_dates_keep_their_granularity(unit):
    starts = pd.Timestamp("1969-01-01") + pd.to_timedelta(RNG(0).integers(0, 9999, 800), unit=unit)
    codec, df = one_column(starts, kind="datetime", dtype="datetime64[us]")
    made = again(codec, df)["x"]
    assert (made == made.dt.round(unit)).all() and made.nunique() > 300
    assert (made - df["x"]).abs().median() <= pd.Timedelta(60, unit)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint16", "float64", "str", "object"])
def test_fresh_ids_are_distinct_and_not_real(dtype):
    schema = Schema((Column("p", "entity", dtype), Column("x", "categorical", "str")))
    df = pd.DataFrame({"p": pd.Series(np.arange(100)).astype(dtype), "x": "a"})
    codec = Codec.fit(df, schema)
    records = codec.encode(pd.concat([df] * 3), RNG(0))
    ids = codec.decode(records, RNG(0))["p"]
    assert ids.is_unique and len(ids) == 300
    assert dtype == "uint16" or not set(ids) & set(df["p"])
    assert ids.dtype == (dtype if dtype != "int8" else "int64")


def test_given_columns_are_the_known_tokens():
    codec = fit()
    df = table()
    full = codec.encode(df, RNG(0))
    names = ["dose", "codes", "ward"]
    records, known = codec.encode_given(df[names], SIZE, RNG(0))
    tokens = codec.layout.tokens
    assert {t.split("=")[0] for t in np.array(tokens)[known]} == set(names)
    assert known.sum() == 1 + 3 + 1
    of_part = known[list(codec.layout.categorical_token)]
    np.testing.assert_array_equal(records.categorical[:, of_part], full.categorical[:, of_part])
    assert np.all(records.categorical[:, ~of_part] == 0)
    np.testing.assert_array_equal(records.continuous, full.continuous)
    nothing, known = codec.encode_given(pd.DataFrame(), 7, RNG(0))
    assert not known.any() and len(nothing.continuous) == len(nothing.categorical) == 7


@pytest.mark.parametrize(
    ("where", "made"),
    [
        ({"age": 30}, 30),
        ({"age": "41"}, 41),
        ({"age": None}, None),
        ({"smoker": "no"}, False),
        ({"smoker": None}, None),
        ({"ward": "7"}, 7),
        ({"codes": "I10; E11"}, "E11;I10"),
        ({"codes": ""}, ""),
        ({"codes": None}, None),
        ({"seen": "2020-03-01 05:00"}, pd.Timestamp("2020-03-01 05:00")),
        ({"dose": 1.25}, 1.25),
        ({"dose": float("nan")}, None),
    ],
)
def test_conditions_are_encoded(where, made):
    codec = fit()
    records, known = given(codec, **where)
    assert known.any()
    for cell in codec.decode(records, RNG(0))[next(iter(where))]:
        wanted = pytest.approx(made, rel=1e-5) if isinstance(made, float) else made
        assert pd.isna(cell) if made is None else cell == wanted


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"ward": 4}, ["'ward'", "4", "[3, 7]"]),
        ({"ward": None}, ["'ward'", "never missing"]),
        ({"alive": None}, ["'alive'", "never missing"]),
        ({"alive": "perhaps"}, ["'alive'", "'perhaps'"]),
        ({"stage": "IV"}, ["'stage'", "'IV'"]),
        ({"codes": "E11;Q00"}, ["'codes'", "'Q00'", "E11"]),
        ({"age": 130}, ["'age'", "130", "120"]),
        ({"age": 22}, ["'age'", "22", "41.0"]),
        ({"age": "old"}, ["'age'", "'old'", "not a number"]),
        ({"age": 30.5}, ["'age'", "30.5", "not whole"]),
        ({"dose": -1}, ["'dose'", "-1", "0.0"]),
        ({"dose": np.inf}, ["'dose'", "inf"]),
        ({"seen": "yesterday"}, ["'seen'", "'yesterday'", "ISO"]),
        ({"nobody": 1}, ["'nobody'"]),
    ],
)
def test_impossible_conditions_are_explained(where, words):
    with pytest.raises(InputError) as caught:
        given(fit(), **where)
    for word in [*words, "Fix:"]:
        assert word in str(caught.value)


def test_a_table_to_impute_may_hold_unseen_values():
    df = pd.DataFrame({"ward": [3, 7, 99], "age": [30, 500, None], "codes": ["I10", "Q", None]})
    records, _ = fit().encode_given(df, 3, RNG(0))
    assert np.all(np.isfinite(records.continuous))


def test_a_column_without_values_is_named():
    with pytest.raises(InputError, match=r"'dose'.*all missing.*Fix"):
        fit(table().assign(dose=np.nan))


MANY_COLUMNS = """
import re
from pathlib import Path
import numpy as np, pandas as pd
from synthdiff.data.codec import Codec
from synthdiff.data.doctor import examine
from synthdiff.data.infer import infer_schema

def read_peak():
    return int(re.search("VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

rng = np.random.default_rng(0)
table = pd.DataFrame(rng.normal(size=(300, 600)).round(2)).rename(columns="c{}".format)
table = table.assign(**{f"c{i}": rng.choice(["a", "b", "c"], 300) for i in range(0, 600, 10)})
held = read_peak()
schema = infer_schema(table)
assert not examine(table, schema)
codec = Codec.fit(table, schema)
back = codec.decode(codec.encode(table, rng), rng)
assert (back["c10"] == table["c10"]).all() and np.abs(back["c1"] - table["c1"]).mean() < 0.02
print(read_peak() - held, len(codec.layout.turns))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_many_ordinary_columns_take_little_memory():
    """300 rows of 600 columns, 540 of them numeric, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_COLUMNS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    grown, turns = map(int, done.stdout.split())
    assert grown < 150_000 and turns == 600  # kB
