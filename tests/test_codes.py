"""Code sets with known answers: identical, independent and swapped codes."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.simulate import join_codes, simulate_cohort
from synthdiff.eval.codes import agreement, evaluate_codes, multi_hot

NAMES = tuple(f"C{i:02}" for i in range(30))
PREVALENCE = 0.4 / np.arange(1, 31)
SCHEMA = Schema(
    (Column("patient", "entity"), Column("sex", "categorical"), Column("dx", "code_set"))
)


def _matrix(seed, rows=3000):
    """Code 2i+1 follows code 2i in 70% of its rows: pairs that independence cannot give."""
    rng = np.random.default_rng(seed)
    codes = rng.random((rows, 30)) < PREVALENCE
    codes[:, 1::2] |= codes[:, ::2] & (rng.random((rows, 15)) < 0.7)
    return codes


def _table(codes, seed=0):
    sex = np.where(np.random.default_rng(seed).random(len(codes)) < 0.5, "F", "M")
    return pd.DataFrame(
        {"patient": np.arange(len(codes)), "sex": sex, "dx": join_codes(codes, NAMES)}
    )


@pytest.fixture(scope="module")
def real():
    return _table(_matrix(0)), _table(_matrix(1), seed=1)


def _evaluate(real, synthetic):
    return evaluate_codes(*real, synthetic, SCHEMA)["dx"]


def test_agreement_of_known_vectors():
    real = np.array([1.0, 2.0, 3.0, 4.0])
    assert agreement(real, real) == {"r2": 1.0, "pearson": 1.0, "spearman": pytest.approx(1.0)}
    halved = agreement(real, real / 2)  # errors 0.25 + 1 + 2.25 + 4 over 4 * variance 1.25
    assert halved["r2"] == pytest.approx(1 - 7.5 / 5)
    assert halved["pearson"] == pytest.approx(1) and halved["spearman"] == pytest.approx(1)
    assert agreement(real, real[::-1])["pearson"] == pytest.approx(-1)
    assert agreement(real, np.full(4, 2.5)) == {"r2": 0.0, "pearson": 0.0, "spearman": 0.0}
    assert "skipped" in agreement(np.ones(4), real)


def test_multi_hot_is_sparse_and_ignores_unknown_and_missing():
    cells = pd.Series(["a;b", "", None, "c;b", "z"], dtype=object)
    matrix = multi_hot(cells, Column("dx", "code_set"), pd.Index(["b", "a", "c"], dtype=object))
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert matrix.nnz == 4 and np.array_equal(matrix.toarray(), expected)


def test_an_identical_table_agrees_exactly(real):
    result = _evaluate(real, real[0])
    assert result["prevalence"]["synthetic"]["r2"] == pytest.approx(1)
    assert result["cooccurrence"]["synthetic_phi"]["r2"] == pytest.approx(1)
    assert result["set_size_distance"]["synthetic"] == 0 < result["set_size_distance"]["floor"]
    assert result["models"]["agreement"]["r2"] == pytest.approx(1)
    assert result["models"]["trtr_auc"] == result["models"]["tstr_auc"] > 0.6
    json.dumps(result, allow_nan=False)


def test_a_fresh_table_reaches_the_floor(real):
    result = _evaluate(real, _table(_matrix(2)))
    for part, key in (("prevalence", ""), ("cooccurrence", ""), ("cooccurrence", "_phi")):
        synthetic, floor = (result[part][f"{name}{key}"] for name in ("synthetic", "floor"))
        assert synthetic["r2"] == pytest.approx(floor["r2"], abs=0.05) and synthetic["r2"] > 0.85
    assert result["models"]["tstr_auc"] == pytest.approx(result["models"]["trtr_auc"], abs=0.03)


def test_independent_codes_keep_prevalence_and_lose_pairs(real):
    codes = _matrix(2)
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(column) for column in codes.T], axis=1)
    result = _evaluate(real, _table(shuffled))
    assert result["prevalence"]["synthetic"]["r2"] > 0.99
    pairs = result["cooccurrence"]
    assert pairs["synthetic"]["r2"] == pytest.approx(pairs["independent"]["r2"], abs=0.05)
    assert pairs["synthetic"]["r2"] < pairs["floor"]["r2"] - 0.1
    assert pairs["synthetic_phi"]["r2"] < 0.05 and pairs["independent_phi"]["pearson"] == 0
    assert result["models"]["tstr_auc"] < 0.55 < result["models"]["trtr_auc"]


def test_swapped_codes_lose_prevalence(real):
    """The most and the least frequent ten change names: the sizes of sets stay as they are."""
    codes = _matrix(2)
    swapped = codes.copy()
    swapped[:, :10], swapped[:, 20:] = codes[:, 20:], codes[:, :10]
    result = _evaluate(real, _table(swapped))
    assert result["prevalence"]["synthetic"]["r2"] < 0
    assert result["prevalence"]["synthetic"]["spearman"] < 0
    assert result["set_size_distance"]["synthetic"] < 0.05


def test_a_lost_rare_half_shows_in_the_rare_slice_only():
    names = tuple(f"C{i:03}" for i in range(100))
    rng = np.random.default_rng(0)
    share = np.concatenate([np.linspace(0.5, 0.1, 20), np.full(80, 0.005)])
    share[20:] *= np.linspace(0.5, 1.9, 80)

    def table(seed, lost=0):
        codes = np.random.default_rng(seed).random((8000, 100)) < share
        codes[:, 100 - lost :] = False
        return pd.DataFrame({"sex": rng.choice(["F", "M"], 8000), "dx": join_codes(codes, names)})

    schema = Schema((Column("sex", "categorical"), Column("dx", "code_set")))
    found = evaluate_codes(table(0), table(1), table(2, lost=40), schema)["dx"]["prevalence"]
    assert found["rare_codes"] >= 75 and found["synthetic"]["r2"] > 0.99
    assert found["synthetic_rare"]["r2"] < 0 < 0.5 < found["floor_rare"]["r2"]


def test_two_thousand_codes_recover_the_simulator():
    started = time.process_time()
    df, schema, truth = simulate_cohort(12_000, 2000, 0)
    result = evaluate_codes(df[:4000], df[4000:8000], df[8000:], schema)["codes"]
    seconds = time.process_time() - started
    assert 1000 < result["prevalence"]["codes"] <= 2000
    points = np.array(result["prevalence"]["points"]["synthetic"])
    exact = np.sort(truth.prevalence)[::-1][: len(points)]
    assert np.corrcoef(np.sort(points)[::-1], exact)[0, 1] > 0.99
    assert result["prevalence"]["synthetic"]["r2"] > 0.98
    pairs = result["cooccurrence"]
    assert pairs["synthetic"]["r2"] > pairs["independent"]["r2"] + 0.1
    assert result["models"]["codes"] == 20 and seconds < 30


def test_no_count_of_fewer_than_five_test_patients_is_given(real):
    train, test = real
    points = evaluate_codes(train, test.head(100), test, SCHEMA)["dx"]["prevalence"]["points"]
    shares = np.array(points["test"]) * 100
    assert ((shares == 0) | (shares >= 4.999)).all() and (shares == 0).any()


def test_what_cannot_be_compared_says_why(real):
    train, _ = real
    plain = Schema((Column("sex", "categorical"),))
    assert "no code set" in evaluate_codes(train, train, train, plain)["skipped"]
    empty = train.assign(dx="")
    assert "fewer than 3 codes" in evaluate_codes(empty, empty, empty, SCHEMA)["dx"]["skipped"]
    lost = _evaluate(real, train.assign(dx=""))
    assert lost["models"]["tstr_auc"] == 0.5 and lost["prevalence"]["synthetic"]["pearson"] == 0
    json.dumps(lost, allow_nan=False)
