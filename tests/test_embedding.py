"""Where a model puts whole records: the same for a record, whoever else is there."""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.data.infer import infer_schema
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import widen
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import BLOCK
from synthdiff.synthesizer import Synthesizer, load

ROWS = BLOCK + 100  # more than one block
MODELS = {
    "unet": ModelConfig("unet", width=8, max_width=16),
    "mlp": ModelConfig("mlp", width=8, hidden=16),
    "unet_of_guesses": ModelConfig("unet", width=8, max_width=16, components=3),
    "unet_of_levels": ModelConfig("unet", width=8, max_width=16, fan=2),
}


def make_table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient": np.arange(ROWS),
            "visits": rng.integers(1, 90, ROWS),
            "bmi": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(25.0, 4.0, ROWS)),
            "cost": np.where(rng.random(ROWS) < 0.5, 0.0, rng.exponential(100.0, ROWS)),
            "sex": rng.choice(["F", "M"], ROWS),
            "codes": rng.choice(["E11;I10", "I10", "E11;J45", ""], ROWS),
        }
    )


TABLE = make_table()
SCHEMA = infer_schema(TABLE, entity="patient", code_sets={"codes": ";"})


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """Untrained, with noise, so that no layer that begins at zero hides a fault."""
    config, codec = Config(MODELS[request.param]), Codec.fit(TABLE, SCHEMA)
    leaves, tree = jax.tree.flatten(config.make_denoiser(codec.layout)[0](jax.random.key(0)))
    rng = np.random.default_rng(1)
    params = tree.unflatten([x + 0.1 * rng.normal(size=x.shape).astype("float32") for x in leaves])
    return Synthesizer(codec, config, params)


@pytest.fixture(scope="module")
def places(model):
    return model.embed(TABLE)


def test_a_vector_for_every_row(places):
    assert places.shape == (ROWS, 16) and places.dtype == np.float32
    assert np.isfinite(places).all()
    distinct = TABLE.drop(columns="patient").drop_duplicates()
    assert len(np.unique(places, axis=0)) >= len(distinct) > 0.9 * ROWS


@pytest.mark.parametrize("count", [1, 20, BLOCK + 1])
def test_a_row_does_not_depend_on_how_many(model, places, count):
    np.testing.assert_array_equal(model.embed(TABLE.head(count)), places[:count])


def test_a_row_does_not_depend_on_its_place_nor_on_its_patient(model, places):
    """Granular values such as `visits` are not spread by chance, as they are in training."""
    order = np.random.default_rng(1).permutation(ROWS)
    found = model.embed(TABLE.iloc[order].assign(patient=7))
    np.testing.assert_allclose(found, places[order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SCHEMA.names[1:])
def test_every_column_counts(model, places, name):
    values = {"visits": 45, "bmi": 31.0, "cost": 900.0, "sex": "F", "codes": "J45"}
    other = TABLE.assign(**{name: values[name]})
    changed = (other[name] != TABLE[name]).to_numpy()
    apart = np.abs(model.embed(other) - places).max(axis=1)
    assert changed.any() and (apart[changed] > 1e-4).all()
    assert (apart[~changed] < 1e-5).all()


def test_a_loaded_model_has_the_same_places(model, places, tmp_path):
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(loaded.params))
    np.testing.assert_array_equal(loaded.embed(TABLE), places)


def test_rows_of_a_patient_are_where_its_record_is():
    df = TABLE.assign(patient=np.arange(ROWS) // 2, day=np.arange(ROWS))
    schema = replace(infer_schema(df, entity="patient", code_sets={"codes": ";"}), order="day")
    plan = plan_visits(df, schema)
    codec = Codec.fit(widen(df, plan), plan.wide)
    config = Config(MODELS["mlp"])
    params = config.make_denoiser(codec.layout)[0](jax.random.key(0))
    model = Synthesizer(codec, config, params, visits=plan)
    mixed = df.sample(frac=1.0, random_state=0)
    found = pd.DataFrame(model.embed(mixed)).groupby(mixed["patient"].to_numpy())
    assert found.ngroups == ROWS // 2 and (found.nunique() == 1).all(axis=None)
    assert len(found.first().drop_duplicates()) == ROWS // 2
    moved = model.embed(df.assign(bmi=df["bmi"].where(df.index != 7, 60.0))) != model.embed(df)
    assert list(np.flatnonzero(moved.any(axis=1))) == [6, 7]


def test_what_cannot_be_placed_is_refused(model):
    with pytest.raises(InputError, match="rows"):
        model.embed(TABLE.head(0))
    with pytest.raises(InputError, match="'bmi'"):
        model.embed(TABLE.drop(columns="bmi"))
