import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.codec import Codec
from synthdiff.data.conform import conform
from synthdiff.data.doctor import examine
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sdv import from_sdv, is_sdv, to_sdv
from synthdiff.data.table import read_table, write_table

ROOT = Path(__file__).parents[1]
COLUMNS = {
    "patient": {"sdtype": "id", "regex_format": "P[0-9]{4}"},
    "name": {"sdtype": "first_name", "pii": True},
    "mail": {"sdtype": "email"},
    "age": {"sdtype": "numerical"},
    "dose": {"sdtype": "numerical", "computer_representation": "Float"},
    "stage": {"sdtype": "categorical", "order": ["low", "mid", "high"]},
    "site": {"sdtype": "categorical"},
    "died": {"sdtype": "boolean"},
    "admitted": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
    "note": {"sdtype": "unknown"},
}
SINGLE = {"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", "primary_key": "patient", "columns": COLUMNS}
MULTI = {"METADATA_SPEC_VERSION": "V1", "tables": {"stays": SINGLE}, "relationships": []}


@pytest.fixture
def df():
    rng, rows = np.random.default_rng(0), 240
    days = pd.to_timedelta(rng.integers(0, 99, rows), "D")
    return pd.DataFrame(
        {
            "patient": [f"P{i:04d}" for i in range(rows)],
            "name": rng.choice(["Ann", "Bob"], rows),
            "mail": [f"{i}@example.org" for i in range(rows)],
            "age": rng.integers(18, 90, rows),
            "dose": rng.integers(1, 9, rows),  # whole by chance: the metadata knows better
            "stage": rng.choice(["low", "mid", "high"], rows),
            "site": rng.integers(1, 4, rows),  # numbers that are names
            "died": rng.integers(0, 2, rows),
            "admitted": pd.Timestamp("2020-01-01") + days,
            "note": "free text",
        }
    ).astype({"admitted": str})


@pytest.mark.parametrize("metadata", [SINGLE, MULTI])
def test_every_sdtype_has_its_kind(df, metadata):
    assert is_sdv(metadata)
    schema, left_out = from_sdv(metadata, df, target="died", sensitive=["site"])
    assert {column.name: column.kind for column in schema.columns} == {
        "patient": "entity", "age": "integer", "dose": "continuous", "stage": "ordinal",
        "site": "categorical", "died": "boolean", "admitted": "datetime",
    }  # fmt: skip
    assert schema["stage"].categories == ("low", "mid", "high")
    assert (schema.entity, schema.target, schema.sensitive) == ("patient", "died", ("site",))
    assert set(left_out) == {"name", "mail", "note"} and "'email'" in left_out["mail"]
    assert not [f for f in examine(df, schema) if f.level == "error"]
    assert len(conform(df, schema)) == len(df)


def test_personal_data_is_left_out_for_its_sdtype_alone(df):
    """The power check: with another sdtype, the same cells would be modelled."""
    schema, _ = from_sdv({"columns": {k: v for k, v in COLUMNS.items() if k != "name"}}, df)
    assert "name" not in schema.names
    changed = COLUMNS | {"name": {"sdtype": "categorical"}}
    assert "name" in from_sdv(SINGLE | {"columns": changed}, df)[0].names


def test_sequences_become_visits(df):
    metadata = {"columns": COLUMNS, "sequence_key": "patient", "sequence_index": "admitted"}
    schema, _ = from_sdv(metadata, df)
    assert (schema.entity, schema.order) == ("patient", "admitted")


def test_flags_go_before_the_metadata(df):
    schema, left_out = from_sdv(SINGLE, df, entity="mail", code_sets={"note": ";"})
    assert schema.entity == "mail" and schema["note"].kind == "code_set"
    assert set(left_out) == {"patient", "name"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"columns": COLUMNS | {"visit": {"sdtype": "id"}}, "primary_key": "visit"},
         r"several ids \(visit, patient\).*--entity"),
        ({"columns": COLUMNS, "primary_key": ["patient", "mail"]}, "is not one column"),
        ({"columns": COLUMNS | {"gone": {"sdtype": "numerical"}}}, "'gone': is described"),
        ({"columns": {"age": {}}}, "'age': has no sdtype"),
        ({"columns": {}}, "describes no column"),
        ({"tables": {"stays": 3}}, "describes no column"),
        ({"tables": [3], "columns": {}}, "tables are not a JSON object"),
        ({"columns": {"stage": {"sdtype": "categorical", "order": "low"}}}, "'low' is not a list"),
        ({"columns": {"admitted": {"sdtype": "datetime", "datetime_format": "%d/%Q"}}},
         "'admitted': format '%d/%Q' is not that of a datetime"),
        ({"tables": {"a": SINGLE, "b": SINGLE}}, "2 tables, none of them 'stays'.*a, b"),
    ],
)  # fmt: skip
def test_mistakes_are_named(df, metadata, expected):
    with pytest.raises(InputError, match=expected):
        from_sdv(metadata, df, table="stays")


def test_one_of_several_tables_is_picked_by_name(df):
    other = {"columns": {"age": {"sdtype": "numerical"}}}
    metadata = {"tables": {"stays": SINGLE, "people": other}}
    assert from_sdv(metadata, df, table="people")[0].names == ("age",)


def test_our_own_schema_is_not_taken_for_sdv(df):
    assert not is_sdv(Schema((Column("age", "integer"),)).to_json())


def test_what_is_written_is_read_as_the_same_kinds(df):
    schema, _ = from_sdv(SINGLE, df)
    again, _ = from_sdv(json.loads(json.dumps(to_sdv(schema, df))), df, entity="patient")
    kinds = {column.name: column.kind for column in schema.columns}
    assert {column.name: column.kind for column in again.columns} == kinds | {
        "stage": "categorical"
    }
    assert again["admitted"] == schema["admitted"]
    public = schema.edit("stage", public=True)
    assert to_sdv(public, df)["columns"]["stage"]["order"] == ["low", "mid", "high"]


def test_no_level_leaves_unless_it_is_public(df):
    schema, _ = from_sdv(SINGLE, df)
    assert "mid" not in json.dumps(to_sdv(schema, df))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2020-01-02", "2021-03-04"], "%Y-%m-%d"),
        (["2020-01-02 10:00:00", "2021-03-04 00:00:00"], "%Y-%m-%d %H:%M:%S"),
        (pd.to_datetime(["2020-01-02", "2021-03-04"]), "%Y-%m-%d"),
    ],
)
def test_the_date_format_reads_the_written_file(cells, expected, tmp_path):
    df = pd.DataFrame({"day": cells})
    schema = Schema((Column("day", "datetime", str(df["day"].dtype)),))
    form = to_sdv(schema, df)["columns"]["day"]["datetime_format"]
    assert form == expected
    df.to_csv(tmp_path / "t.csv", index=False)
    written = pd.read_csv(tmp_path / "t.csv")["day"]
    assert pd.to_datetime(written, format=form).tolist() == pd.to_datetime(df["day"]).tolist()


def write_dates(values, form):
    dates = pd.to_datetime(pd.Series(values))
    text = dates.dt.strftime(form)
    return dates, pd.DataFrame({"day": text, "n": range(len(text))})


def read_dates(df, form):
    columns = {"day": {"sdtype": "datetime"}, "n": {"sdtype": "numerical"}}
    columns["day"] |= {"datetime_format": form} if form else {}
    return from_sdv({"columns": columns}, df)[0]


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d.%m.%y", "%Y-%d-%m", "%d %b %Y %H:%M:%S"]
)
def test_dates_are_read_and_given_back_as_the_metadata_writes_them(form, tmp_path):
    """The third of April or the fourth of March, as the format says."""
    dates, df = write_dates(["2020-04-03", "2021-12-31", "1999-01-02"] * 20, form)
    write_table(df, tmp_path / "t.csv")
    df = read_table(tmp_path / "t.csv")
    schema = read_dates(df, form)
    schema = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    table = conform(df, schema)
    assert table["day"].tolist() == dates.tolist()
    codec = Codec.fit(table, schema)
    back = codec.decode(codec.encode(table, np.random.default_rng(0)), np.random.default_rng(1))
    write_table(back, tmp_path / "back.csv")
    again = read_table(tmp_path / "back.csv")
    assert set(conform(again, schema)["day"]) == set(dates)
    assert to_sdv(schema, back)["columns"]["day"]["datetime_format"] == form
    assert to_sdv(schema, table)["columns"]["day"]["datetime_format"] == "%Y-%m-%d"


@pytest.mark.parametrize("form", [None, "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
def test_iso_dates_need_no_format(form):
    dates, df = write_dates(["2020-04-03", "2021-12-31"], form or "%Y-%m-%d")
    schema = read_dates(df, form)
    assert schema["day"].format is None and conform(df, schema)["day"].tolist() == dates.tolist()


def test_a_date_in_another_format_is_refused():
    _, df = write_dates(["2020-04-03", "2021-12-31"], "%m/%d/%Y")
    with pytest.raises(InputError, match="'12/31/2021' at row 1 is not written as '%d/%m/%Y'"):
        conform(df, read_dates(df, "%d/%m/%Y"))
    with pytest.raises(InputError, match=r"'04/03/2020' at row 0 is not an ISO date.*a format"):
        conform(df, read_dates(df, None))


def test_dates_that_are_parsed_already_stay(tmp_path):
    dates, df = write_dates(["2020-04-03", "2021-12-31"], "%d/%m/%Y")
    schema = read_dates(df.assign(day=dates), "%d/%m/%Y")
    assert schema["day"].format is None and "datetime64" in schema["day"].dtype


def test_doctor_reads_metadata_from_the_schema_flag(df, tmp_path):
    df.to_csv(tmp_path / "stays.csv", index=False)
    (tmp_path / "metadata.json").write_text(json.dumps(MULTI))
    flags = [f"--data={tmp_path / 'stays.csv'}", f"--schema={tmp_path / 'metadata.json'}",
             "--target=died", f"--schema_out={tmp_path / 'schema.json'}"]  # fmt: skip
    command = [sys.executable, ROOT / "experiments" / "doctor.py", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "column 'mail': sdtype 'email' is not modelled" in done.stdout
    schema = Schema.load(tmp_path / "schema.json")
    assert (schema.entity, schema.target) == ("patient", "died") and "mail" not in schema.names


def test_sdmetrics_takes_the_metadata(df):
    reports = pytest.importorskip("sdmetrics.reports.single_table", reason="sdmetrics is absent")
    schema, _ = from_sdv(SINGLE, df)
    table = df[list(schema.names)]
    report = reports.QualityReport()
    report.generate(table, table, to_sdv(schema, table), verbose=False)
    assert report.get_score() == pytest.approx(1.0)
    assert set(report.get_details("Column Shapes")["Column"]) == set(schema.names) - {"patient"}
