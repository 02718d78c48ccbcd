"""Sources: finding files, and tables with known counts and laws. Real files via SYNTHDIFF_DATA."""

import gzip
import hashlib
import os
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.private import require_public
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources import DATASETS, load
from synthdiff.data.sources.diabetes130 import AGE_BINS, MOST
from synthdiff.data.sources.fetch import locate, with_schema
from synthdiff.data.sources.rand_hie import COLUMNS

REAL = os.environ.get("SYNTHDIFF_DATA")
needs_files = pytest.mark.skipif(not REAL, reason="SYNTHDIFF_DATA names no folder with the files")

CONTENT = b"a,b\n1,2\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:1/x.zip"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """No cache and no data folder but those that the test makes."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("SYNTHDIFF_DATA", raising=False)
    return tmp_path / "home"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


# Finding, checking and downloading


@pytest.mark.parametrize("layout", ["toy/t.csv", "toy/t.csv.gz", "t.csv", "t.csv.gz"])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_locate_finds_every_layout(layout, by, home, tmp_path, monkeypatch):
    write(tmp_path / layout, CONTENT)
    if by == "environment":
        monkeypatch.setenv("SYNTHDIFF_DATA", str(tmp_path))
    folder = tmp_path if by == "argument" else None
    path = locate("toy", "t.csv", sha256=SHA256, url=NOWHERE, data_dir=folder)
    assert path == tmp_path / layout


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_wrong_content_is_named(name, home, tmp_path):
    write(tmp_path / name, b"other")
    got = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(InputError) as error:
        locate("toy", "t.csv", sha256=SHA256, url=NOWHERE, data_dir=tmp_path)
    for part in (str(tmp_path / name), got, SHA256, "Fix:"):
        assert part in str(error.value)


def test_damaged_gzip_is_named(home, tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CONTENT * 1000)[:-20])
    with pytest.raises(InputError, match=r"t\.csv\.gz: cannot be read"):
        locate("toy", "t.csv", sha256=SHA256, url=NOWHERE, data_dir=tmp_path)


def test_download_extracts_the_member_once(home, tmp_path):
    archive = tmp_path / "toy.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner/other.csv", "no")
        file.writestr("inner/t.csv", CONTENT)
    arguments = {"sha256": SHA256, "url": archive.as_uri(), "member": "t.csv"}
    path = locate("toy", "t.csv", **arguments)
    assert path == home / ".cache/synthdiff/toy/t.csv" and path.read_bytes() == CONTENT
    archive.unlink()
    assert locate("toy", "t.csv", **arguments) == path
    assert [item.name for item in path.parent.iterdir()] == ["t.csv"]


def test_wrong_download_is_not_kept(home, tmp_path):
    (tmp_path / "t.csv").write_bytes(b"an error page")
    with pytest.raises(InputError, match="expected " + SHA256):
        locate("toy", "t.csv", sha256=SHA256, url=(tmp_path / "t.csv").as_uri())
    assert not home.exists()


def test_no_network_says_where_to_put_the_file(home):
    with pytest.raises(InputError) as error:
        locate("toy", "t.csv", sha256=SHA256, url=NOWHERE, member="t.csv")
    for part in ("<folder>/toy/t.csv", NOWHERE, "SYNTHDIFF_DATA", "data_dir"):
        assert part in str(error.value)
    assert isinstance(error.value.__cause__, OSError)


def test_archive_without_the_member_is_named(home, tmp_path):
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as file:
        file.writestr("else.csv", CONTENT)
    with pytest.raises(InputError, match=r"t\.csv is not on disk"):
        locate("toy", "t.csv", sha256=SHA256, url=(tmp_path / "toy.zip").as_uri(), member="t.csv")


@pytest.mark.parametrize("name", ["brfss", "default", "mimic", "synthea"])
def test_data_behind_a_sign_in_is_never_downloaded(name, home, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("tried to download")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(InputError, match=r"Fix: get .*https://.*data_dir="):
        load(name)


def test_unknown_name_lists_the_names():
    with pytest.raises(InputError) as error:
        load("framingham")
    assert all(name in str(error.value) for name in ("framingham", *DATASETS))


def test_with_schema_orders_columns_and_only_casts_complete_discrete_ones():
    df = pd.DataFrame({"x": [1.0, 2.0], "n": [1.0, 2.0], "gap": [1.0, np.nan], "extra": [0, 0]})
    columns = (Column("gap", "integer"), Column("n", "integer"), Column("x", "continuous"))
    out, schema = with_schema(df, columns, target="n")
    assert list(out) == ["gap", "n", "x"] == list(schema.names)
    assert [column.dtype for column in schema.columns] == ["float64", "int64", "float64"]


# RAND HIE: needs no file


@pytest.fixture(scope="module")
def rand():
    return load("rand_hie")


@pytest.fixture(scope="module")
def rand_raw():
    root = Path(find_spec("statsmodels").submodule_search_locations[0])
    return pd.read_csv(root / "datasets/randhie/src/randhie.csv")


def test_rand_counts(rand):
    df, schema = rand
    assert len(df) == 20_190 and df["household"].nunique() == 2_439 and len(schema.columns) == 31
    assert schema.entity == "household" and schema.target == "health"
    missing = df.isna().sum()
    expected = {"ghindx": 5223, "physlm": 1052, "black": 251, "mdeoff": 5, "pioff": 5, "educdec": 4}
    assert missing[missing > 0].to_dict() == expected


def test_rand_health_comes_from_its_indicators(rand, rand_raw):
    counts = rand[0]["health"].value_counts().to_dict()
    assert counts == {"excellent": 11019, "good": 7309, "fair": 1560, "poor": 302}
    for level, name in {"good": "hlthg", "fair": "hlthf", "poor": "hlthp"}.items():
        assert ((rand[0]["health"] == level) == (rand_raw[name] == 1)).all()


def test_rand_dropped_columns_follow_from_kept_ones(rand, rand_raw):
    df, raw = rand[0], rand_raw
    spent = df[["outpdol", "drugdol", "suppdol", "inpdol"]].sum(axis=1)
    child = df["xage"] < 18
    plan = raw.groupby("plan")
    formulas = {
        "lfam": np.log(df["num"]),
        "lnum": np.log(df["num"]),
        "linc": np.log(df["income"] + 1),
        "lpi": np.log(df["pioff"].fillna(0).clip(lower=1)),
        "binexp": spent > 0,
        "child": child,
        "fchild": child & (df["female"] == 1),
        "logc": plan["logc"].transform("first"),
        "xghindx": df["ghindx"].fillna(raw["xghindx"]),
    }
    for name, formula in formulas.items():
        np.testing.assert_allclose(raw[name], formula.astype(float), atol=2e-5, err_msg=name)
    assert ((raw["meddol"] - spent).abs() > 0.01).sum() == 2
    fmde = raw.groupby(["plan", "mdeoff"], dropna=False)["fmde"].nunique()
    assert (fmde == 1).all()
    derived = {*formulas, "meddol", "lnmeddol", "fmde", "hlthg", "hlthf", "hlthp"}
    assert derived == set(raw) - {"zper"} - {column.name for column in COLUMNS}


def test_rand_plan_determines_coinsurance_and_deductible(rand):
    by_plan = rand[0].groupby("plan")
    assert (by_plan[["coins", "idp"]].nunique() == 1).all(axis=None)
    assert by_plan["mdeoff"].nunique().max() > 1


def test_rand_imputed_means_become_missing(rand, rand_raw):
    for name in ("black", "physlm"):
        observed = rand_raw[name].isin([0, 1])
        assert (rand[0][name].notna() == observed).all()
        assert rand[0][name].sum() == (rand_raw[name] == 1).sum()


def test_rand_only_the_documented_columns_change_within_a_person(rand, rand_raw):
    columns = rand[0].columns.drop("household")
    counts = rand[0][columns].groupby(rand_raw["zper"]).nunique()
    varying = set(columns[(counts > 1).any()])
    spending = {"outpdol", "drugdol", "suppdol", "mentdol", "inpdol"}
    visits = {"totadm", "mdvis", "notmdvis", "mentvis"}
    assert varying == {"year", "xage", "time", "num", "inpmis"} | spending | visits


def test_rand_visits_are_the_years_of_a_person(rand, rand_raw):
    df, schema = load("rand_hie_visits")
    assert (schema.entity, schema.group, schema.order) == ("household", "person", "year")
    assert (df["person"] == rand_raw["zper"]).all() and rand[1].order is None
    pd.testing.assert_frame_equal(df.drop(columns="person"), rand[0])
    assert not df.duplicated(["person", "year"]).any()


def test_rand_households_hold_whole_people_and_share_what_households_share(rand, rand_raw):
    household = rand[0]["household"]
    assert household.groupby(rand_raw["zper"]).nunique().max() == 1
    people = rand_raw.assign(household=household).drop_duplicates("zper")
    grouped = people.groupby("household")
    assert grouped[["site", "plan", "income", "num"]].nunique().max().max() == 1
    assert (grouped.size() > grouped["num"].first()).sum() == 3
    # the site changes at some households' ends: power of the check above
    shifted = people.groupby(people["household"].shift(1, fill_value=0))
    assert (shifted["income"].nunique() > 1).mean() > 0.3


# Real files

# name: rows, entities (None = no entity column), columns, missing cells
COUNTS = {
    "rand_hie": (20_190, 2_439, 31, 6_540),
    "rand_hie_visits": (20_190, 2_439, 32, 6_540),
    "diabetes130": (101_766, 71_518, 47, 192_849),
    "diabetes130_benchmark": (101_766, None, 37, 0),
    "diabetes130_public": (101_766, 71_518, 45, 102_644),
    "brfss": (253_680, None, 22, 0),
    "mimic": (129, 100, 11, 0),
    "mimic_visits": (129, 100, 12, 0),
    "simulated_codes": (20_000, 20_000, 5, 0),
    "synthea": (1_000, 1_000, 10, 1_280),
    "adult": (48_842, None, 15, 6_465),
    "default": (30_000, None, 24, 0),
    "magic": (19_020, None, 11, 0),
    "beijing": (43_824, None, 12, 2_067),
    "heart_cleveland": (303, None, 14, 6),
}


@pytest.fixture(scope="module", params=DATASETS)
def table(request):
    if not REAL and not request.param.startswith(("rand_hie", "simulated")):
        pytest.skip("SYNTHDIFF_DATA names no folder with the files")
    return request.param, *load(request.param)


def test_known_counts(table):
    name, df, schema = table
    entities = df[schema.entity].nunique() if schema.entity else None
    assert (*df.shape, entities, df.isna().sum().sum()) == (
        COUNTS[name][0],
        COUNTS[name][2],
        COUNTS[name][1],
        COUNTS[name][3],
    )


def test_table_matches_its_schema(table):
    _, df, schema = table
    assert list(df.columns) == list(schema.names)
    assert Schema.from_json(schema.to_json()) == schema
    assert df.index.equals(pd.RangeIndex(len(df)))
    for column in schema.columns:
        values = df[column.name].dropna()
        assert column.dtype == str(values.dtype), column.name
        if column.is_categorical and column.categories:
            assert set(values) <= set(column.categories), column.name
        if column.is_numeric and column.kind != "datetime":
            low = -np.inf if column.lower is None else column.lower
            high = np.inf if column.upper is None else column.upper
            assert values.between(low, high).all(), column.name
        if column.kind == "integer":
            assert (values % 1 == 0).all(), column.name
        if column.kind == "code_set":
            parts = values[values != ""].str.split(column.delimiter)
            assert all(p == sorted(set(p)) for p in parts) and "nan" not in set(parts.explode())


@needs_files
def test_diabetes_levels_and_identifiers():
    df, _ = load("diabetes130")
    assert not (df == "?").any(axis=None)
    assert not {"encounter_id", "examide", "citoglipton"} & set(df)
    assert (df["max_glu_serum"] == "None").sum() == 96_420
    assert df[["diag_1", "diag_2", "diag_3"]].nunique().tolist() == [716, 748, 789]
    assert {"250.83", "V27", "8"} <= set(df["diag_1"]) | set(df["diag_3"])
    assert (df["readmitted"] != "NO").sum() == 35_545 + 11_357


@needs_files
def test_diabetes_public_needs_no_look_at_the_data():
    df, schema = load("diabetes130_public")
    require_public(schema)
    full = load("diabetes130")[0]
    assert all((df[name] == full[name]).all() for name in MOST)  # the bounds cut nothing
    shares = df["diag_1"].value_counts(normalize=True)
    assert shares.idxmax() == "circulatory" and df["diag_1"].isna().sum() == 21
    assert (df["diag_1"][full["diag_1"].str.startswith("250", na=False)] == "endocrine").all()


@needs_files
def test_diabetes_benchmark_is_the_published_shape():
    df, schema = load("diabetes130_benchmark")
    kinds = [column.kind for column in schema.columns]
    assert (kinds.count("integer"), kinds.count("categorical"), kinds[-1]) == (9, 27, "boolean")
    full = load("diabetes130")[0]
    assert (df["age"].map(dict(enumerate(AGE_BINS))) == full["age"]).all()
    assert ((df["diag_3"] == "empty") == full["diag_3"].isna()).all()


@needs_files
def test_adult_keeps_the_official_order_and_one_label_set():
    df, schema = load("adult")
    assert set(df["income"]) == {"<=50K", ">50K"}
    assert (df["income"].iloc[:32_561] == ">50K").sum() == 7_841
    order = {name: rank for rank, name in enumerate(schema["education"].categories, start=1)}
    assert (df["education"].map(order) == df["education-num"]).all()


@needs_files
def test_mimic3_codes_and_patients_agree_with_the_files():
    raw = pd.read_csv(Path(REAL) / "mimic3_demo/DIAGNOSES_ICD.csv.gz", dtype=str)
    df, _ = load("mimic")
    assert df["diagnoses"].str.split(";").str.len().sum() == len(
        raw.drop_duplicates(["hadm_id", "icd9_code"])
    )
    people, schema = load("mimic", unit="patient")
    assert len(people) == 100 and people["subject_id"].is_unique
    assert people["num_admissions"].sum() == 129
    assert people["los_days"].sum() == pytest.approx(df["los_days"].sum())
    assert people["hospital_expire_flag"].sum() == df["hospital_expire_flag"].sum() == 40
    assert people["diagnoses"].str.split(";").str.len().sum() == len(
        raw.drop_duplicates(["subject_id", "icd9_code"])
    )
    assert df["age"].max() == 90 and schema.sensitive == ("gender", "ethnicity")


@needs_files
def test_synthea_has_codes_and_no_identifiers():
    df, schema = load("synthea")
    identifiers = {"SSN", "FIRST", "LAST", "ADDRESS", "ZIP", "PASSPORT", "DRIVERS", "BIRTHPLACE"}
    assert not identifiers & set(df)
    raw = pd.read_csv(Path(REAL) / "synthea_1k/conditions.csv.gz")
    cells = df.set_index("ID")["conditions"]
    assert cells[cells != ""].str.split(";").str.len().sum() == len(
        raw.drop_duplicates(["PATIENT", "CODE"])
    )
    assert (df["DEATHDATE"].dropna() >= df["BIRTHDATE"][df["DEATHDATE"].notna()]).all()
    assert schema["BIRTHDATE"].kind == "datetime" and (df["allergies"] == "").any()


# MIMIC layouts written here


@pytest.fixture
def mimic4(tmp_path):
    write(
        tmp_path / "hosp/patients.csv.gz",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n"
        "1,F,60,2150,2011 - 2013,\n2,M,91,2140,2014 - 2016,\n3,F,30,2130,2008 - 2010,\n",
    )
    write(
        tmp_path / "hosp/admissions.csv.gz",
        "subject_id,hadm_id,admittime,dischtime,admission_type,discharge_location,insurance,race,"
        "hospital_expire_flag\n"
        "1,12,2153-05-02 00:00:00,2153-05-03 00:00:00,URGENT,DIED,Other,WHITE,1\n"
        "1,11,2150-01-01 12:00:00,2150-01-03 00:00:00,EW EMER.,HOME,Medicare,WHITE,0\n"
        "2,21,2142-01-01 00:00:00,2142-01-01 06:00:00,URGENT,,Medicaid,ASIAN,0\n",
    )
    write(
        tmp_path / "hosp/diagnoses_icd.csv",
        "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
        "1,11,1,4019   ,9\n1,11,2,0389,9\n1,11,3,4019,9\n1,12,1,I10,10\n1,12,2,0389,9\n",
    )
    return tmp_path


def test_mimic4_admissions(mimic4):
    df, schema = load("mimic", mimic4)
    assert df["subject_id"].tolist() == [1, 1, 2]
    assert df["age"].tolist() == [60, 63, 90]
    assert df["los_days"].tolist() == [1.5, 1.0, 0.25]
    assert df["diagnoses"].tolist() == ["9:0389;9:4019", "10:I10;9:0389", ""]
    assert "procedures" not in df and "race" in df and pd.isna(df["discharge_location"][2])
    assert schema.entity == "subject_id" and schema["diagnoses"].kind == "code_set"


def test_mimic4_visits_are_ordered_by_days_since_the_first(mimic4):
    df, schema = load("mimic_visits", mimic4)
    assert schema.order == "days" and schema.group is None
    assert df.groupby("subject_id")["days"].min().eq(0).all()
    assert df.groupby("subject_id")["days"].apply(lambda x: x.is_monotonic_increasing).all()
    pd.testing.assert_frame_equal(df.drop(columns="days"), load("mimic", mimic4)[0])


def test_mimic4_patients(mimic4):
    df, _ = load("mimic", mimic4, unit="patient")
    first = df.iloc[0]
    assert df["subject_id"].tolist() == [1, 2] and df["num_admissions"].tolist() == [2, 1]
    assert (first["age"], first["admission_type"], first["insurance"]) == (
        60,
        "EW EMER.",
        "Medicare",
    )
    assert (first["discharge_location"], first["hospital_expire_flag"]) == ("DIED", 1)
    assert first["los_days"] == 2.5 and first["diagnoses"] == "10:I10;9:0389;9:4019"


def test_mimic4_measurements_are_the_first_of_an_admission(mimic4, monkeypatch):
    monkeypatch.setattr("synthdiff.data.sources.mimic.PIECE_ROWS", 2)  # a file of many pieces
    write(
        mimic4 / "hosp/labevents.csv.gz",
        "labevent_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom\n"
        "1,1,11,50912,2150-01-02 06:00:00,1.9,1.9,mg/dL\n"  # later than the next
        "2,1,11,50912,2150-01-01 13:00:00,1.2,1.2,mg/dL\n"
        "3,1,12,50912,2153-05-02 01:00:00,___,,mg/dL\n"  # no number
        "4,1,12,50912,2153-05-02 02:00:00,2.5,2.5,mg/dL\n"
        "5,1,,50983,2149-01-01 00:00:00,120,120,mEq/L\n"  # of no admission
        "6,2,21,50983,2142-01-01 01:00:00,140,140,mEq/L\n"
        "7,2,21,50983,2142-01-01 00:30:00,0,0,mEq/L\n"  # not above 0
        "8,2,21,99999,2142-01-01 00:30:00,7,7,\n",  # not one of ours
    )
    df, schema = load("mimic", mimic4)
    assert df["creatinine"].tolist()[:2] == [1.2, 2.5] and pd.isna(df["creatinine"][2])
    assert df["sodium"].isna().tolist() == [True, True, False] and df["sodium"][2] == 140
    assert schema["creatinine"].kind == "continuous" and "glucose" not in df
    people = load("mimic", mimic4, unit="patient")[0]
    assert people["creatinine"].iloc[0] == 1.2 and people["sodium"].iloc[1] == 140
    visits = load("mimic_visits", mimic4)[0]
    assert visits["creatinine"].tolist()[:2] == [1.2, 2.5]


def test_mimic3_upper_case_headers_birthdays_and_hidden_ages(tmp_path):
    write(
        tmp_path / "PATIENTS.csv",
        "ROW_ID,SUBJECT_ID,GENDER,DOB\n1,1,F,2100-06-15 00:00:00\n2,2,M,1850-01-01 00:00:00\n",
    )
    write(
        tmp_path / "ADMISSIONS.csv",
        "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,ADMISSION_TYPE,INSURANCE,DISCHARGE_LOCATION,"
        "HOSPITAL_EXPIRE_FLAG,ETHNICITY\n"
        "1,11,2150-06-14 23:00:00,2150-06-16 23:00:00,URGENT,Private,HOME,0,WHITE\n"
        "1,12,2150-06-15 01:00:00,2150-06-16 01:00:00,URGENT,Private,HOME,0,WHITE\n"
        "2,21,2150-01-01 00:00:00,2150-01-02 00:00:00,URGENT,Private,HOME,0,WHITE\n",
    )
    write(
        tmp_path / "DIAGNOSES_ICD.csv",
        "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,11,1,0389\n1,11,2,\n2,21,1,\n",
    )
    df, _ = load("mimic", tmp_path)
    assert df["age"].tolist() == [49, 50, 90]
    assert df["diagnoses"].tolist() == ["0389", "", ""]


def test_mimic_names_the_absent_column(mimic4):
    write(mimic4 / "hosp/admissions.csv.gz", "subject_id,hadm_id\n1,2\n")
    with pytest.raises(InputError, match="no column 'admittime'"):
        load("mimic", mimic4)
