"""The codec of private runs: what it refuses, what a patient can move, what it gets right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.codec import Codec, count_shares
from synthdiff.data.private import (
    Grid,
    _clear,
    cap_rows,
    fit_private_codec,
    list_public,
    measure_sensitivity,
    require_public,
)
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources import load

SCHEMA = Schema(
    (
        Column("who", "entity", "int64"),
        Column("age", "continuous", "float64", lower=0.0, upper=110.0, public=True),
        Column("cost", "continuous", "float64", lower=0.0, upper=10_000.0, public=True),
        Column("visits", "integer", "int64", lower=0, upper=40, step=1, public=True),
        Column("seen", "datetime", "datetime64[ns]", lower=18_000.0, upper=18_800.0, step=1.0,
               public=True),
        Column("sex", "categorical", "object", ("F", "M", "X"), public=True),
        Column("codes", "code_set", "object", ("E11", "I10", "J45"), public=True),
    )
)  # fmt: skip


def make_table(patients=2000, rows_each=2, seed=0):
    rng = np.random.default_rng(seed)
    n = patients * rows_each
    return pd.DataFrame(
        {
            "who": np.repeat(np.arange(patients), rows_each),
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(50, 15, n).clip(0, 110)),
            "cost": np.where(rng.random(n) < 0.4, 0.0, rng.lognormal(4, 1, n).clip(0, 9999)),
            "visits": rng.poisson(2.0, n),
            "seen": pd.Timestamp("2019-06-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
            "sex": rng.choice(["F", "M"], n, p=[0.7, 0.3]),
            "codes": rng.choice(["E11;I10", "I10", ""], n),
        }
    )


TABLE = make_table()


def fit(table=TABLE, schema=SCHEMA, noise=1.0, max_rows=2, seed=0):
    return fit_private_codec(table, schema, max_rows, noise, 5, np.random.default_rng(seed))


def coder_of(codec, name):
    return next(coder for coder in codec.coders if coder.name == name)


def test_every_column_that_needs_the_data_is_listed():
    schema = SCHEMA.edit("age", upper=None).edit("sex", categories=()).edit("codes", public=False)
    with pytest.raises(InputError) as caught:
        require_public(schema.edit("cost", public=False))
    text = str(caught.value)
    for name in ("age", "cost", "sex", "codes"):
        assert f"column {name!r}" in text and f"schema.edit({name!r}" in text
    assert text.count("Fix:") == 4 and "visits" not in text
    require_public(SCHEMA)


def test_rand_hie_is_public_throughout():
    df, schema = load("rand_hie")
    require_public(schema)
    for column in schema.features:
        if column.is_numeric:
            assert column.lower <= df[column.name].min() and df[column.name].max() <= column.upper
            assert df[column.name].max() < column.upper or column.upper in (1, 100, 1000)
    assert len(list_public(schema)) == 30


def count_all(table, max_rows=2):
    grids = [Grid.of(column) for column in SCHEMA.features]
    values = (table[c.name] for c in SCHEMA.features)
    from synthdiff.data.dtypes import to_values

    counts = [
        grid.count(to_values(v, c)) / max_rows
        for grid, v, c in zip(grids, values, SCHEMA.features, strict=True)
    ]
    return np.concatenate(counts), measure_sensitivity(tuple(grids))


def test_one_patient_moves_the_counts_by_at_most_the_sensitivity():
    whole, sensitivity = count_all(TABLE)
    moved = [
        np.linalg.norm(whole - count_all(TABLE[TABLE["who"] != patient])[0])
        for patient in range(20)
    ]
    assert 0 < max(moved) <= sensitivity
    same = TABLE.copy()  # two equal rows, each value on a spike: the worst case is reached
    same.loc[same["who"] == 0, ["age", "cost", "visits", "sex", "codes"]] = (50.0, 0.0, 1, "F", "")
    same.loc[same["who"] == 0, "seen"] = pd.Timestamp("1970-01-01") + pd.Timedelta(days=18_400)
    same.loc[same["who"] == 0, "codes"] = None
    worst = np.linalg.norm(count_all(same)[0] - count_all(same[same["who"] != 0])[0])
    assert worst == pytest.approx(sensitivity) == pytest.approx(np.sqrt(4 * 2 + 2))


@pytest.mark.parametrize(("noise", "tolerance"), [(0.05, 0.02), (50.0, None)])
def test_shares_are_those_of_the_encoded_rows(noise, tolerance):
    codec, shares, *_ = fit(noise=noise)
    counts = count_shares(codec.encode(TABLE, np.random.default_rng(0)), codec.layout)
    codes = {"codes=E11", "codes=I10", "codes=J45", "codes=(missing)"}
    worst = 0.0
    for token, share, count in zip(codec.layout.categorical_token, shares, counts, strict=True):
        assert len(share) == len(count) and (share > 0).all()
        if codec.layout.tokens[token] not in codes:  # codes are not counted
            worst = max(worst, np.abs(share / share.sum() - count / count.sum()).max())
    assert worst < tolerance if tolerance else worst > 0.05


def test_noise_gives_nothing_to_what_nobody_has():
    """200 levels of which 3 occur: cutting at zero alone would give the others 40 % and more."""
    counts = np.r_[[900.0, 60.0, 40.0], np.zeros(197)]
    noisy = counts + np.random.default_rng(0).normal(0.0, 10.0, 200)
    cleared, cut = _clear(noisy), np.maximum(noisy, 0.0)
    assert (cleared > 0).all() and cleared.sum() == pytest.approx(max(noisy.sum(), 1.0), rel=0.2)
    assert cleared[3:].sum() / cleared.sum() < 0.25 < 0.4 < cut[3:].sum() / cut.sum()
    np.testing.assert_allclose(_clear(counts)[:3], counts[:3])


def test_rows_are_capped_per_patient():
    table, patients = make_table(100, 5), np.repeat(np.arange(100), 5)
    kept, owners = cap_rows(table, patients, 2, np.random.default_rng(0))
    assert (np.bincount(owners) == 2).all() and (kept["who"].to_numpy() == owners).all()
    again, _ = cap_rows(table, patients, 2, np.random.default_rng(1))
    assert not kept.equals(again)  # the choice is random
    assert len(cap_rows(table, patients, 9, np.random.default_rng(0))[0]) == 500


def test_noise_has_the_promised_spread():
    """Counts of an empty vocabulary entry over many fits: only noise, times the sensitivity."""
    noise = 3.0
    entry = fit(noise=noise)[2]
    assert entry["noise_std_patients"] == pytest.approx(noise * np.sqrt(10))
    assert entry["sensitivity_l2"] == pytest.approx(np.sqrt(10)) and entry["columns"] == 6
    shares = [dict(zip("FMX", coder_of(fit(noise=noise, seed=s)[0], "sex").shares, strict=True))
              for s in range(60)]  # fmt: skip
    spread = np.std([share["F"] for share in shares])
    # share F = F / (F + M + X) with F = 1400, M = 600 of 2000; the delta method, X about |noise|
    assert spread == pytest.approx(noise * np.sqrt(10) * np.sqrt(0.3**2 + 0.7**2) / 2000, rel=0.4)


def test_without_much_noise_the_codec_is_a_good_one():
    codec = fit(noise=0.5)[0]
    assert coder_of(codec, "cost").spikes[0] == 0.0
    assert set(coder_of(codec, "visits").spikes) >= {0.0, 1.0, 2.0, 3.0}
    missing = {coder.name: coder.has_missing for coder in codec.coders}
    assert missing == {"age": True, "cost": False, "visits": False, "seen": False, "sex": False,
                       "codes": False}  # fmt: skip
    assert coder_of(codec, "sex").shares[0] == pytest.approx(0.7, abs=0.02)
    records = codec.encode(TABLE, np.random.default_rng(0))
    layout = codec.layout
    for j, token in enumerate(layout.continuous_token):
        scores = records.continuous[:, j][records.continuous[:, j] != 0]
        if layout.tokens[token] in ("age", "seen"):  # near normal: the knots are quantiles
            assert abs(scores.mean()) < 0.2 and 0.8 < scores.std() < 1.3
    back = codec.decode(records, np.random.default_rng(1))
    assert (back["visits"] == TABLE["visits"]).mean() > 0.99
    np.testing.assert_allclose(back["cost"], TABLE["cost"], rtol=1e-3, atol=1e-3)
    assert (back["seen"] == TABLE["seen"]).mean() > 0.99
    assert Codec.from_json(codec.to_json()).to_json() == codec.to_json()


def test_under_noise_alone_the_codec_still_works():
    """With noise far above the counts nothing is found, nothing breaks, bounds hold."""
    codec = fit(noise=1e5)[0]
    records = codec.encode(TABLE, np.random.default_rng(0))
    back = codec.decode(records, np.random.default_rng(1))
    assert back["age"].dropna().between(0, 110).all() and np.isfinite(records.continuous).all()
    spikes = [len(coder_of(fit(noise=1e5, seed=s)[0], "visits").spikes) for s in range(50)]
    assert np.mean(spikes) < 0.1  # at most 1 in 100 by design


def test_nothing_of_a_single_patient_is_kept_exactly():
    """No fitted number is a value of the table, beyond public cell borders and candidates."""
    codec = fit(noise=0.5)[0]
    for name in ("age", "cost"):
        coder = coder_of(codec, name)
        grid = Grid.of(SCHEMA[name])
        public = {*grid.edges.tolist(), *grid.points}
        assert set(coder.values) <= public and set(coder.spikes) <= set(grid.points)
    richer = TABLE.copy()
    richer.loc[0, "cost"] = 9_999.0
    assert coder_of(fit(richer)[0], "cost").values[-1] == coder_of(fit()[0], "cost").values[-1]


def test_whole_numbers_have_cells_around_them():
    grid = Grid.of(SCHEMA["visits"])
    assert grid.edges[0] == -0.5 and grid.edges[-1] == 40.5
    assert np.allclose(np.mod(grid.edges, 1.0), 0.5)
    assert set(range(41)) <= set(grid.points)
    coarse = Grid.of(replace(SCHEMA["visits"], upper=100_000))
    assert len(coarse.edges) < 40 and len(coarse.points) < 100
