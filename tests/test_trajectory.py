"""The way out of noise: the same rows as the table's, and shares that a hand can count."""

import json

import jax
import numpy as np
import pandas as pd
import pytest

from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.eval.trajectory import summarise_states
from synthdiff.layout import Records
from synthdiff.models.config import ModelConfig
from synthdiff.sampling import draw_states, draw_table

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("age", "integer"),
        Column("seen", "datetime"),
        Column("codes", "code_set"),
        Column("ward", "categorical"),
        Column("stage", "ordinal", categories=("low", "high")),
    ),
    target="stage",
)


@pytest.fixture(scope="module")
def codec():
    rng, size = np.random.default_rng(0), 400
    df = pd.DataFrame(
        {
            "patient": np.arange(size),
            "age": rng.integers(18, 90, size),
            "seen": pd.Timestamp("2020-03-01") + pd.to_timedelta(rng.integers(0, 900, size), "D"),
            "codes": rng.choice(["E11;I10", "I10", ""], size),
            "ward": rng.choice(list("abcdefghij"), size),
            "stage": rng.choice(["low", "high"], size),
        }
    )
    return Codec.fit(conform(df, SCHEMA), SCHEMA)


@pytest.fixture(scope="module")
def drawn(codec):
    """Of a network that is not trained: states, and the table of the same seed."""
    model = ModelConfig(name="mlp", hidden=16, depth=1, width=4)
    config = Config(model=model, sampler=SamplerConfig(num_steps=12))
    params = config.make_denoiser(codec.layout)[0](jax.random.key(0))
    states = draw_states(codec, config, params, seed=3, num_rows=200)
    given = pd.DataFrame(index=range(300))
    return states, draw_table(codec, config, params, given, first=0, num_rows=300, seed=3)


def test_the_last_state_is_the_table(codec, drawn):
    states, table = drawn
    assert list(states) == [0, 2, 5, 7, 10, 12]
    last = codec.decode(states[12], np.random.default_rng([3, 2]))
    pd.testing.assert_frame_equal(last, table.head(200))
    before = codec.decode(states[10], np.random.default_rng([3, 2]))
    assert not before.equals(last)  # the check can fail


def test_cells_fill_in_and_numbers_settle(codec, drawn):
    found = summarise_states(drawn[0], codec)
    masked, distance = found["masked"], found["noise"]["distance"]
    assert masked[0] == 1.0 and masked[-1] == 0.0 and (np.diff(masked) < 0).all()
    assert distance[0] == pytest.approx(np.exp(4), rel=0.1)  # log_snr_min -8 is sigma e^4
    assert distance[-1] == 0.0 and (np.diff(distance) < 0).all()
    assert [*found["columns"]] in (["age", "stage"], ["seen", "stage"])
    for column in found["columns"].values():
        filled = [sum(shares) for shares in column["shares"]]
        assert filled[0] == 0.0 and filled[-1] == pytest.approx(1.0)
        assert (np.diff(filled) >= 0).all()
    assert json.loads(json.dumps(found)) == found


def test_shares_are_counted_over_all_rows(codec):
    masked = np.array(codec.layout.cardinalities)
    rows, names = 100, codec.layout.part_names[codec.layout.num_continuous :]
    end = Records(np.zeros((rows, codec.layout.num_continuous)), np.zeros((rows, len(masked)), int))
    end.categorical[:25, names.index("stage")] = 1
    half = Records(end.continuous + 2.0, np.array(end.categorical))
    half.categorical[:10, names.index("stage")] = masked[names.index("stage")]
    half.categorical[:50, names.index("codes=I10")] = masked[names.index("codes=I10")]
    found = summarise_states({3: half, 7: end}, codec)
    assert found["columns"]["stage"]["labels"] == ["low", "high"]  # in the schema's order
    assert found["columns"]["stage"]["shares"] == [[0.75, 0.15], [0.75, 0.25]]
    cells = 5  # of which one has 10 rows masked, and one 50 rows with half of their codes
    assert found["masked"] == pytest.approx([(0.10 + 0.5 * 0.5) / cells, 0.0])
    assert found["noise"]["distance"] == [2.0, 0.0]
    assert found["steps"] == [3, 7] and found["rows"] == rows


def test_long_tails_of_levels_are_one(codec):
    names = codec.layout.part_names[codec.layout.num_continuous :]
    rows = 55
    end = Records(np.zeros((rows, codec.layout.num_continuous)), np.zeros((rows, len(names)), int))
    end.categorical[:, names.index("ward")] = np.repeat(np.arange(10), np.arange(1, 11))
    schema = Schema(SCHEMA.columns, target="ward")
    found = summarise_states({0: end}, Codec(schema, codec.coders, 5))["columns"]["ward"]
    assert found["labels"] == [*"efghij", "(other)"]
    assert found["shares"] == [pytest.approx([n / 55 for n in (5, 6, 7, 8, 9, 10, 10)])]


def test_a_table_without_numbers_or_categories_has_what_there_is():
    only = Schema((Column("codes", "code_set"),))
    codec = Codec.fit(conform(pd.DataFrame({"codes": ["E11", "I10"] * 20}), only), only)
    states = {0: Records(np.zeros((4, 0)), np.full((4, 2), 2)), 1: Records(np.zeros((4, 0)),
              np.zeros((4, 2), int))}  # fmt: skip
    found = summarise_states(states, codec)
    assert found["masked"] == [1.0, 0.0] and found["noise"] is None and found["columns"] == {}
