"""`fit` of a table whose rows are visits: whole patients in, whole patients out."""

import json
import stat
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import synthdiff
from synthdiff._files import seal
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.infer import infer_schema
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.estimator import TableDiffusion
from synthdiff.models.config import ModelConfig
from synthdiff.scoring import average_records, measure_loss
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

CONFIG = Config(
    ModelConfig("mlp", width=8, hidden=32),
    train=TrainConfig(num_steps=20, batch_size=32, steps_per_call=10),
    sampler=SamplerConfig(num_steps=4),
)
PATIENTS = 120


def make_table(seed=0):
    """One to three visits each, the rows in no order; cells of every dtype that may change."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(PATIENTS), rng.integers(1, 4, PATIENTS))
    rows = len(owner)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, rows), "D")
    table = pd.DataFrame(
        {
            "dose": rng.integers(1, 9, rows),
            "patient": owner,
            "day": day.strftime("%Y-%m-%d"),
            "sex": rng.choice(["F", "M"], PATIENTS)[owner],
            "born": rng.integers(1930, 1999, PATIENTS)[owner],
            "ward": pd.Categorical(rng.choice(["A", "B", "C"], rows)),
            "died": pd.array(rng.choice([True, False, None], rows), "boolean"),
            "stage": np.where(rng.random(rows) < 0.2, np.nan, rng.integers(0, 3, rows)),
            "wound": np.where(rng.random(rows) < 0.5, day.strftime("%Y-%m-%d"), None),
            "asked": rng.choice(["x", "y"], rows),
        }
    )  # fmt: skip
    return table.iloc[rng.permutation(rows)].reset_index(drop=True)


TABLE = make_table()
SCHEMA = replace(
    infer_schema(TABLE, entity="patient").edit("stage", kind="integer", dtype="int64"), order="day"
)


def fit(table=TABLE, schema=SCHEMA, config=CONFIG, **options):
    return synthdiff.fit(table, schema, config=config, progress=False, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def model(folder):
    return fit(folder=folder)


def test_patients_are_drawn_with_all_their_visits(model):
    table = model.sample(80)
    assert list(table) == list(TABLE) and model.schema == SCHEMA and model.visits.max_visits == 3
    known = ["patient", "sex", "born", "dose", "day", "died", "wound", "asked"]
    assert table[known].dtypes.to_dict() == TABLE[known].dtypes.to_dict()
    people = table.groupby("patient", sort=False)
    assert len(people) == 80 and set(people.size()) == {1, 2, 3}
    assert table["day"].str.fullmatch(r"\d{4}-\d{2}-\d{2}").all()
    assert all(person["day"].is_monotonic_increasing for _, person in people)
    assert (people[["sex", "born"]].nunique() == 1).all().all()
    assert (people["dose"].nunique() > 1).any() and not set(table["patient"]) & set(
        TABLE["patient"]
    )
    assert (model.sample(20, where={"num_visits": 2}).groupby("patient").size() == 2).all()


def test_pieces_join_to_the_whole(model):
    """Also a piece in which no cell is missing, as single patients are."""
    whole = model.sample(60)
    for cuts in ([0, 1, 2, 3, 4, 60], [0, 25, 60]):
        pieces = [model.sample(b - a, first=a) for a, b in pairwise(cuts)]
        assert all((piece.dtypes == whole.dtypes).all() for piece in pieces)
        pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), whole)
    records = replace(model, visits=None)
    pieces = [model.to_rows(records.sample(20, first=at), at) for at in (0, 20, 40)]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), whole)
    assert whole["stage"].dtype == "Int64" and whole["stage"].isna().any()


def test_save_and_load(model, folder, tmp_path):
    model.save(tmp_path)
    expected = model.sample(20)
    for place in (tmp_path, folder):
        assert stat.S_IMODE((place / "visits.json").stat().st_mode) == 0o600
        loaded = synthdiff.load(place)
        assert loaded.visits == model.visits and loaded.schema == SCHEMA
        pd.testing.assert_frame_equal(loaded.sample(20), expected)
    assert "visits.json" in (folder / "PRIVATE.txt").read_text()
    text = (tmp_path / "visits.json").read_text()
    (tmp_path / "visits.json").write_text(text.replace("born", "torn"))
    with pytest.raises(InputError, match=r"visits.json.*damaged, edited"):
        synthdiff.load(tmp_path)
    seal(tmp_path, "visits.json")
    with pytest.raises(InputError, match=r"visits.json.*does not fit codec.json"):
        synthdiff.load(tmp_path)
    (tmp_path / "visits.json").unlink()
    with pytest.raises(InputError, match=r"no visits.json"):
        synthdiff.load(tmp_path)


def test_a_plan_that_was_never_sealed_is_read(model, tmp_path):
    """As those of runs of before."""
    model.save(tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines(keepends=True)
    (tmp_path / "SHA256SUMS").write_text("".join(x for x in lines if "visits.json" not in x))
    assert synthdiff.load(tmp_path).visits == model.visits


def test_a_model_of_rows_that_is_saved_over_it_has_no_plan(model, tmp_path):
    model.save(tmp_path)
    records = replace(model, visits=None)
    records.save(tmp_path)
    loaded = synthdiff.load(tmp_path)
    assert loaded.visits is None and "num_visits" in loaded.sample(3)
    assert "visits.json" not in (tmp_path / "SHA256SUMS").read_text()


def test_a_folder_resumes_and_refuses_another_number_of_visits(model, folder):
    log = (folder / "metrics.jsonl").read_text()
    pd.testing.assert_frame_equal(fit(folder=folder).sample(5), model.sample(5))
    assert (folder / "metrics.jsonl").read_text() == log
    with pytest.raises(InputError, match="another table or settings"):
        fit(folder=folder, max_visits=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": replace(CONFIG, dp=DpConfig(epsilon=3.0))}, "plan of visits is read from the"),
        ({"max_visits": 9}, "fewer than 5 patients have 9 visits"),
        ({"max_visits": 2, "schema": replace(SCHEMA, order=None)}, "names no order of visits"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(InputError, match=words):
        fit(**options)


def test_impute_takes_a_row_per_patient(model):
    given = pd.DataFrame({"sex": ["F", "M", "F"], "num_visits": [3, 1, 2], "dose@1": [4, 5, 6]})
    table = model.impute(given)
    people = table.groupby("patient", sort=False)
    assert people.size().tolist() == [3, 1, 2] and people["sex"].first().tolist() == ["F", "M", "F"]
    assert people["dose"].first().tolist() == [4, 5, 6] and (people["sex"].nunique() == 1).all()
    assert model.impute(given.assign(**{"dose@1": [4, None, 6]}))["dose"].dtype == "Int64"
    second = model.impute(given.iloc[1:], first=1)
    pd.testing.assert_frame_equal(second, table.iloc[3:].reset_index(drop=True))
    for long, words in ((TABLE[["dose"]], "'dose'.*one row per patient"),
                        (TABLE[["patient", "sex"]], "'patient'.*several rows")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            model.impute(long)


def test_a_row_has_the_loss_of_its_patient(model):
    nats = measure_loss(model, TABLE, num_noises=4)
    records = model.to_records(TABLE)
    assert len(nats) == len(TABLE) > len(records) == PATIENTS
    each = measure_loss(replace(model, visits=None), records, num_noises=4)
    expected = TABLE["patient"].map(dict(zip(records["patient"], each, strict=True)))
    np.testing.assert_array_equal(nats, expected)
    mean = average_records(model, TABLE, nats)
    assert mean == pytest.approx(each.mean()) and abs(mean - nats.mean()) > 0.01


def test_another_training_takes_the_plan_of_the_first(model):
    again = fit(make_table(1), start=model)
    assert again.visits == model.visits
    cases = {
        "'sex'.*differs between visits": {"sex": ["F", "M"] * 10},
        "'asked'.*some visits lack it": {"asked": None},
    }
    for words, cells in cases.items():
        other = make_table(1)
        for name, values in cells.items():
            other.loc[other.index[:20], name] = values
        with pytest.raises(InputError, match=words):
            fit(other, start=model)
    for options, words in (
        ({"max_visits": 2}, "max_visits.*3 in the first model"),
        ({"schema": replace(SCHEMA, order="born")}, "order of visits are not those"),
        ({"schema": replace(SCHEMA, order=None)}, "in the first model.*give both one schema"),
    ):
        with pytest.raises(InputError, match=words):
            fit(start=model, **options)


def test_the_estimator_knows_visits(model):
    found = TableDiffusion(SCHEMA, CONFIG).fit(TABLE)
    pd.testing.assert_frame_equal(found.sample(20), model.sample(20))
    scores = found.score_samples(TABLE)
    by_patient = pd.Series(scores).groupby(TABLE["patient"])
    assert scores.shape == (len(TABLE),) and (by_patient.nunique() == 1).all()
    assert found.score(TABLE) == pytest.approx(by_patient.first().mean())
    with pytest.raises(InputError, match="9 visits"):
        TableDiffusion(SCHEMA, CONFIG, max_visits=9).fit(TABLE)


def test_the_plan_of_a_run_is_plain_json(folder):
    found = json.loads((folder / "visits.json").read_text())
    assert found["static"] == ["sex", "born"] and found["max_visits"] == 3


def test_dates_in_another_format_change_nothing_else():
    """The same visits, written day first: the same model, whose dates are written so too."""
    form, schema, table = "%d/%m/%Y", SCHEMA, TABLE.copy()
    for name in ("day", "wound"):
        table[name] = pd.to_datetime(table[name]).dt.strftime(form)
        schema = schema.edit(name, format=form)
    drawn = synthdiff.fit(table, schema, config=CONFIG, progress=False).sample(60, seed=0)
    plain = synthdiff.fit(TABLE, SCHEMA, config=CONFIG, progress=False).sample(60, seed=0)
    assert drawn["day"].str.fullmatch(r"\d\d/\d\d/20\d\d").all()
    for name in ("day", "wound"):
        drawn[name] = pd.to_datetime(drawn[name], format=form).dt.strftime("%Y-%m-%d")
        drawn[name] = drawn[name].astype(plain[name].dtype)
    pd.testing.assert_frame_equal(drawn, plain)
