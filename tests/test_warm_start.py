"""Training that begins at another model: it starts there, and refuses what cannot go together."""

import importlib.util
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
from flax.traverse_util import flatten_dict

import synthdiff
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.infer import infer_schema
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.diffusion.schedules import Schedule
from synthdiff.models.config import ModelConfig, count_params, split_outputs
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

CONFIG = Config(
    ModelConfig("mlp", width=8, hidden=32),
    train=TrainConfig(num_steps=150, batch_size=64, steps_per_call=50, ema_decay=0.9),
    sampler=SamplerConfig(num_steps=6),
)
SHORT = replace(CONFIG, train=replace(CONFIG.train, num_steps=5))


def make_table(rows, seed):
    """Two columns that go together, which takes training to learn, and one with missing cells."""
    rng = np.random.default_rng(seed)
    sick = rng.random(rows) < 0.5
    return pd.DataFrame(
        {
            "patient": np.arange(rows) + 1000 * seed,
            "ward": np.where(sick, "A", "B"),
            "drug": np.where(sick, "x", "y"),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(20, 90, rows)),
        }
    )


MANY, FEW = make_table(600, 1), make_table(40, 2)


def fit(table, config=CONFIG, **options):
    schema = infer_schema(table, entity="patient")
    return synthdiff.fit(table, schema, config=config, progress=False, **options)


@pytest.fixture(scope="module")
def first():
    return fit(MANY)


def test_training_begins_at_the_codec_and_the_weights_of_the_first_model(first):
    still = replace(CONFIG, train=replace(CONFIG.train, num_steps=1, learning_rate=1e-12))
    model = synthdiff.fit(FEW, config=still, start=first, progress=False)  # its schema too
    assert model.codec is first.codec
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), model.params, first.params
    )
    assert not first.config.start
    assert len(model.config.start) == 64
    assert Config.from_json(model.config.to_json()) == model.config


def test_without_a_schema_a_few_rows_are_read_as_those_of_the_first_model(first):
    """By themselves these wards look like numbers."""
    numbers = FEW.assign(ward=FEW["ward"].map({"A": 1, "B": 2}))
    with pytest.raises(InputError, match="'ward'"):
        synthdiff.fit(numbers, config=SHORT, start=first, progress=False)


def test_few_patients_learn_in_few_steps_what_the_first_model_knew(first):
    def agree(**options):
        table = fit(FEW, SHORT, **options).sample(512, seed=0)
        return ((table["ward"] == "A") == (table["drug"] == "x")).mean()

    assert agree(start=first) > 0.8
    assert agree() < 0.7


def test_a_run_folder_keeps_to_one_start(first, tmp_path):
    model = fit(FEW, SHORT, start=first, folder=tmp_path)
    again = fit(FEW, SHORT, start=first, folder=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, model.params, again.params)
    assert synthdiff.load(tmp_path).config.start == model.config.start
    for other in (None, model):
        with pytest.raises(InputError, match="another table or settings"):
            fit(FEW, SHORT, start=other, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="drug"), r"'drug': is 'absent' here and 'categorical'"),
        (lambda t: t.assign(dose=1.5), r"'dose': is 'continuous' here and 'absent'"),
        (lambda t: t.assign(drug=np.arange(40)), r"'drug': is 'integer' here and 'categorical'"),
        (lambda t: t[["patient", "drug", "ward", "age"]], r"in this order: ward, drug, age"),
        (lambda t: t.assign(drug=t["drug"].replace("x", "z")), r"'drug': \d+ cells hold \['z'\]"),
        (lambda t: t.assign(ward=t["ward"].where(t.index > 3)), r"'ward': 4 missing cells"),
        (
            lambda t: t.assign(age=t["age"] * 12),
            r"'age': \d+% of its numbers lie outside 20 to 97",
        ),
    ],
)
def test_a_table_that_the_codec_cannot_express_is_refused(first, change, message):
    with pytest.raises(InputError, match=message):
        fit(change(FEW), SHORT, start=first)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(SHORT, model=ModelConfig("mlp", width=16, hidden=32)), "model.width: 16, and"),
        (replace(SHORT, schedule=Schedule(learnable=True)), "schedule.learnable: True, and"),
    ],
)
def test_settings_that_do_not_go_with_the_first_model_are_refused(first, config, message):
    with pytest.raises(InputError, match=message):
        fit(FEW, config, start=first)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("jax_privacy", "dp_accounting"))),
    reason="needs the extra dp: pip install 'synthdiff[dp]'",
)
def test_a_private_run_moves_the_outputs_alone_and_spends_all_on_gradients(first, tmp_path):
    """It needs no public schema, for it reads nothing of the table outside the gradients."""
    train = replace(CONFIG.train, num_steps=4, batch_size=16, steps_per_call=2)
    config = replace(CONFIG, train=train, dp=DpConfig(epsilon=3.0, delta=1e-3))
    with pytest.raises(InputError, match="public"):
        fit(FEW, config)
    model = fit(FEW, config, start=first, folder=tmp_path)
    before, after = (flatten_dict(m.params) for m in (first, model))
    moved = {path for path in before if np.any(before[path] != after[path])}
    outputs = flatten_dict(split_outputs(first.params)[0])
    assert moved and moved == {path for path in outputs if outputs[path].size}
    assert 0 < sum(leaf.size for leaf in outputs.values()) < 0.5 * count_params(first.params)
    (entry,) = model.privacy["ledger"]
    assert (entry["steps"], entry["sampling_rate"]) == (4, 16 / 40)
    assert 2.9 < model.privacy["epsilon"] <= 3.0
    assert model.privacy["public"]["codec and first weights"] == "another model's"
    again = fit(FEW, config, start=first, folder=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, model.params, again.params)
