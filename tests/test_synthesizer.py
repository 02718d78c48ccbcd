"""The three-line API on a small table of every kind of column."""

import json
import shutil
import warnings
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

import synthdiff
from synthdiff._files import seal
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.infer import infer_schema
from synthdiff.diffusion.samplers import SAMPLERS, SamplerConfig
from synthdiff.diffusion.schedules import SHAPES, Schedule
from synthdiff.layout import Layout
from synthdiff.models.config import ModelConfig
from synthdiff.run_folder import MODEL_FILES
from synthdiff.sampling import BLOCK, WIDEST, choose_block
from synthdiff.train.metrics import read_metrics
from synthdiff.train.optim import TrainConfig

ROWS = 300
CONFIG = Config(
    ModelConfig("mlp", width=8, hidden=32),
    train=TrainConfig(num_steps=20, batch_size=32, steps_per_call=10, condition_rate=0.5),
    sampler=SamplerConfig(num_steps=6),
)


def make_table():
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.integers(0, 700, ROWS), unit="D")
    rare = {7: "rare1", 9: "rare2"}
    return pd.DataFrame(
        {
            "visits": rng.integers(1, 9, ROWS),
            "patient": np.repeat(np.arange(ROWS // 2), 2),
            "bmi": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(25.0, 4.0, ROWS)),
            "cost": np.where(rng.random(ROWS) < 0.5, 0.0, rng.exponential(100.0, ROWS)),
            "sex": rng.choice(["F", "M"], ROWS),
            "ward": [rare.get(i, w) for i, w in enumerate(rng.choice(["A", "B"], ROWS))],
            "unit": [rare.get(i, w) for i, w in enumerate(rng.choice(["C", "D"], ROWS))],
            "smoker": rng.random(ROWS) < 0.3,
            "seen": pd.Timestamp("2020-01-01") + days,
            "codes": rng.choice(["E11;I10", "I10", "E11;J45", "", "I10;J45"], ROWS),
        }
    )


TABLE = make_table()
SCHEMA = infer_schema(TABLE, entity="patient", code_sets={"codes": ";"})
PAIR = TABLE[["bmi", "sex"]]


def fit(table, schema=None, **options):
    return synthdiff.fit(table, schema, progress=False, **{"config": CONFIG} | options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def model(folder):
    return fit(TABLE, SCHEMA, folder=folder)


def test_columns_order_and_dtypes(model):
    table = model.sample(50)
    pd.testing.assert_series_equal(table.dtypes, TABLE.dtypes)
    assert list(table.index) == list(range(50))
    assert set(table["sex"]) == {"F", "M"} and set(table["ward"]) <= {"A", "B"}
    assert table["bmi"].isna().any() and (table["cost"] == 0).any() and (table["cost"] >= 0).all()
    assert table["patient"].is_unique and not set(table["patient"]) & set(TABLE["patient"])
    codes = {code for cell in table["codes"] for code in cell.split(";")} - {""}
    assert codes == {"E11", "I10", "J45"}


def test_seed_decides_the_rows(model):
    pd.testing.assert_frame_equal(model.sample(20, seed=3), model.sample(20, seed=3))
    features = TABLE.columns.drop("patient")
    assert not model.sample(20, seed=4)[features].equals(model.sample(20, seed=3)[features])


@pytest.mark.parametrize("where", [None, {"visits": 3, "cost": 55.0}])
def test_a_row_does_not_depend_on_how_many(model, where):
    """Two columns have rare values, which are redrawn: they must not share a random stream."""
    assert sum(getattr(coder, "num_rare", 0) for coder in model.codec.coders) == 4
    few, many = (model.sample(n, where=where) for n in (30, 600))
    pd.testing.assert_frame_equal(few, many.head(30))


@pytest.mark.parametrize("where", [None, {"visits": 3, "cost": 55.0}])
def test_any_range_is_a_slice_of_the_whole(model, where):
    """Across the edge of a block of 512 rows, from within one, and of one row only."""
    whole = model.sample(1100, where=where)
    for first, count in ((0, 5), (3, 700), (512, 20), (1023, 2), (1099, 1)):
        piece = model.sample(count, first=first, where=where)
        expected = whole.iloc[first : first + count].reset_index(drop=True)
        pd.testing.assert_frame_equal(piece, expected)
    for wrong in ({"first": -1}, {"first": 2**31 - 9}):
        with pytest.raises(InputError, match="first"):
            model.sample(5, **wrong)


def test_any_piece_is_imputed_as_within_the_whole(model):
    given = TABLE[["ward", "bmi", "cost"]]
    whole = model.impute(given)
    for first, stop in ((7, 40), (130, 300)):
        piece = model.impute(given.iloc[first:stop], first=first)
        pd.testing.assert_frame_equal(piece, whole.iloc[first:stop])
    other = model.impute(given.iloc[7:40])
    assert not other["visits"].equals(whole["visits"].iloc[7:40])  # the power of this test


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"sex": "F"}, "F"),
        ({"smoker": True}, True),
        ({"visits": 4}, 4),
        ({"cost": 0}, 0.0),
        ({"codes": "E11;J45"}, "E11;J45"),
        ({"codes": "J45; E11"}, "E11;J45"),
        ({"codes": ""}, ""),
        ({"seen": "2020-05-17"}, pd.Timestamp("2020-05-17")),
    ],
)
def test_where_is_honoured(model, where, expected):
    table = model.sample(8, where=where)
    (name,) = where
    assert (table[name] == expected).all()
    pd.testing.assert_series_equal(table.dtypes, TABLE.dtypes)


def test_where_and_guidance_reach_the_other_columns(model):
    """The condition goes into the network, and is not only pasted over the result."""
    plain, given = model.sample(40), model.sample(40, where={"sex": "F"})
    guided = model.sample(40, where={"sex": "F"}, guidance=2.0)
    assert not plain["bmi"].equals(given["bmi"]) and not guided["bmi"].equals(given["bmi"])
    assert (guided["sex"] == "F").all()


def test_where_may_be_missing(model):
    table = model.sample(8, where={"bmi": None})
    assert table["bmi"].isna().all() and table["bmi"].dtype == TABLE["bmi"].dtype


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"gender": "F"}, "'gender'"),
        ({"sex": "X"}, "'sex'.*'X'"),
        ({"sex": None}, "'sex'.*missing"),
        ({"ward": "rare1"}, "'ward'.*'rare1'"),
        ({"codes": "Z99"}, "'codes'.*'Z99'"),
        ({"visits": "many"}, "'visits'.*'many'"),
        ({"patient": 5}, "'patient'.*not modelled"),
    ],
)
def test_where_that_cannot_be_is_explained(model, where, words):
    with pytest.raises(InputError, match=rf"(?s){words}.*Fix:"):
        model.sample(5, where=where)


def test_impute_keeps_what_is_given(model):
    given = TABLE[["codes", "patient", "sex", "bmi"]].iloc[20:60].set_axis(range(100, 140))
    full = model.impute(given)
    pd.testing.assert_frame_equal(full[given.columns], given)
    assert list(full.columns) == list(TABLE.columns)
    drawn = full.drop(columns=given.columns)
    assert drawn.notna().all().all()
    pd.testing.assert_frame_equal(full, model.impute(given))
    other = model.impute(given, seed=1)
    assert not other[drawn.columns].equals(drawn)
    with pytest.raises(InputError, match="num_rows"):
        model.impute(given.head(0))


def test_save_and_load_give_identical_samples(model, folder, tmp_path):
    model.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "SHA256SUMS",
        "codec.json",
        "config.json",
        "weights.msgpack",
    ]
    for place in (tmp_path, folder):
        loaded = synthdiff.load(place)
        assert loaded.config == model.config and loaded.codec == model.codec
        pd.testing.assert_frame_equal(loaded.sample(20), model.sample(20))


def test_training_ends_after_max_epochs(tmp_path):
    config = replace(CONFIG, train=replace(CONFIG.train, max_epochs=1))
    model = fit(TABLE, SCHEMA, config=config, folder=tmp_path)
    steps = -(-ROWS // CONFIG.train.batch_size)
    assert model.config.train.num_steps == steps
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["step"] == steps


def test_no_patient_id_is_written(tmp_path):
    """Of a table without numbers, for which some weights are empty arrays."""
    names = TABLE.assign(patient=[f"PERSON-{i // 2}" for i in range(ROWS)])
    schema = infer_schema(names, entity="patient", code_sets={"codes": ";"})
    few = replace(CONFIG, train=replace(CONFIG.train, num_steps=10))
    pair = replace(schema, columns=(schema["patient"], schema["sex"]))
    model = fit(names[list(pair.names)], pair, config=few, folder=tmp_path)
    assert set(model.sample(20)["sex"]) <= {"F", "M"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5 and not any(b"PERSON-" in path.read_bytes() for path in files)


def remove(name):
    return lambda folder: (folder / name).unlink()


def cut_weights(folder):
    path = folder / "weights.msgpack"
    path.write_bytes(path.read_bytes()[:-100])


def edit_config(**changes):
    def edit(folder):
        data = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(data | changes))

    return edit


def cut_config(folder):
    (folder / "config.json").write_text('{"version": 1')


def widen(folder):
    data = json.loads((folder / "config.json").read_text())
    edit_config(model=data["model"] | {"hidden": 64})(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove("config.json"), "no config.json"),
        (remove("codec.json"), "no codec.json"),
        (remove("weights.msgpack"), "no weights.msgpack"),
        (cut_weights, "weights.msgpack.*does not fit"),
        (edit_config(version=99), "another version"),
        (cut_config, "not JSON"),
        (widen, "weights.msgpack.*does not fit"),
        (edit_config(model={"colour": 3}), "config.json"),
    ],
)
def test_load_errors_name_the_fix(model, tmp_path, damage, words):
    """Also of files that someone edited and sealed."""
    model.save(tmp_path)
    damage(tmp_path)
    seal(tmp_path, *(name for name in MODEL_FILES if (tmp_path / name).exists()))
    with pytest.raises(InputError, match=rf"(?s){words}.*Fix:"):
        synthdiff.load(tmp_path)


def test_same_fit_again_resumes(model, folder):
    log = (folder / "metrics.jsonl").read_text()
    again = fit(TABLE, SCHEMA, folder=folder)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, again.params, model.params)))
    assert (folder / "metrics.jsonl").read_text() == log  # no step was made twice
    assert [row["step"] for row in read_metrics(folder / "metrics.jsonl")] == [10, 20]


@pytest.mark.parametrize("other", ["settings", "table"])
def test_other_fit_in_the_folder_is_refused(model, folder, tmp_path, other):
    used = shutil.copytree(folder, tmp_path / "used")
    config = replace(CONFIG, min_patients=6) if other == "settings" else CONFIG
    table = TABLE.head(200) if other == "table" else TABLE
    with pytest.raises(InputError, match=r"another table or settings.*Fix:"):
        fit(table, SCHEMA, config=config, folder=used)


def test_unhealthy_tables_are_refused():
    with pytest.raises(InputError, match="20 are needed"):
        fit(TABLE.head(5), SCHEMA)


@pytest.mark.slow
def test_many_ordinary_columns_are_learnt_and_drawn():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 600)).round(2)).rename(columns="c{}".format)
    table = table.assign(**{f"c{i}": rng.choice(["a", "b", "c"], 300) for i in range(0, 600, 10)})
    config = replace(CONFIG, model=ModelConfig("mlp", width=4, hidden=8))
    made = fit(table, infer_schema(table), config=config).sample(20)
    assert made.shape == (20, 600) and (made.dtypes == table.dtypes).all()


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != CONFIG.sampler.name])
def test_every_other_sampler(model, name):
    table = model.sample(10, sampler=SamplerConfig(name, num_steps=6))
    pd.testing.assert_series_equal(table.dtypes, TABLE.dtypes)
    assert np.isfinite(table["cost"]).all()


KINDS = {
    "cosine": ModelConfig("unet", width=8, max_width=8),
    "linear": ModelConfig("mlp", width=8, hidden=16, dtype="bfloat16"),
    "edm": ModelConfig("mlp", width=8, hidden=16),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_learnable_schedule_trains(name):
    """With a U-Net, in bfloat16 and as an MLP; the exponents move."""
    config = replace(CONFIG, model=KINDS[name], schedule=Schedule(name, learnable=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model = fit(PAIR, config=config, seed=5)
    assert model.config.train.seed == 5
    assert all(np.abs(power).min() > 0 for power in model.params["schedule"].values())
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(model.params))
    table = model.sample(20)
    assert set(table["sex"]) == {"F", "M"} and table["bmi"].notna().any()


@pytest.mark.parametrize("tokens", [3, 64, 1000, 20_000])
def test_blocks_keep_an_accelerator_busy_and_within_its_memory(tokens):
    layout = Layout(tuple(map(str, range(tokens))), (), (0,), (2,), (), ())
    assert choose_block(layout, "cpu") == BLOCK
    wide = choose_block(layout, "gpu")
    assert wide >= BLOCK and wide & (wide - 1) == 0
    assert wide * tokens <= max(WIDEST, BLOCK * tokens) and wide <= 32 * BLOCK
    assert (tokens <= 1000) == (wide > BLOCK)
