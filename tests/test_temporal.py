"""Temporal measures against processes whose laws are known, and their power."""

import json

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema
from synthdiff.eval import temporal
from synthdiff.eval.report.visits import write_visits
from synthdiff.eval.temporal import _find_limits, evaluate_temporal

COLUMNS = (
    Column("patient", "entity"),
    Column("day", "integer", "int64"),
    Column("sex", "categorical", "str"),
    Column("age", "continuous", "float64"),
    Column("x", "continuous", "float64"),
    Column("state", "categorical", "str"),
    Column("codes", "code_set", "str"),
)
SCHEMA = Schema(COLUMNS, order="day")
REAL = np.array([[0.8, 0.15, 0.05], [0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
OTHER = np.array([[0.5, 0.35, 0.15], [0.3, 0.5, 0.2], [0.25, 0.05, 0.7]])


def _stationary(matrix):
    values, vectors = np.linalg.eig(matrix.T)
    weights = np.real(vectors[:, np.argmax(np.real(values))])
    return weights / weights.sum()


def _draw(seed, patients=600, *, phi=0.7, matrix=REAL, kept=0.6, visits=(2, 3, 4), gap=(1, 2, 3)):
    """AR(1) x, Markov state, and codes of which the next visit keeps all with chance `kept`."""
    rng = np.random.default_rng(seed)
    most = max(visits)
    x = np.empty((patients, most))
    state = np.empty((patients, most), int)
    codes = np.empty((patients, most), object)
    x[:, 0] = rng.normal(size=patients)
    start = _stationary(matrix)
    state[:, 0] = rng.choice(3, patients, p=start)
    names = np.array([f"C{i}" for i in range(40)], dtype=object)
    codes[:, 0] = names[rng.integers(0, 40, patients)]
    for t in range(1, most):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * rng.normal(size=patients)
        chance = rng.random(patients)[:, None]
        state[:, t] = (chance > matrix[state[:, t - 1]].cumsum(axis=1)).sum(axis=1)
        same = rng.random(patients) < kept
        codes[:, t] = np.where(same, codes[:, t - 1], names[rng.integers(0, 40, patients)])
    day = np.cumsum(rng.choice(gap, (patients, most)), axis=1)
    age = rng.uniform(20, 80, (patients, 1)) + day / 8
    here = np.arange(most) < rng.choice(visits, patients)[:, None]
    owner = np.repeat(np.arange(patients), most).reshape(patients, most) + seed * 10_000
    sex = np.array(["F", "M"])[rng.integers(0, 2, (patients, 1)) + np.zeros((1, most), int)]
    table = {"patient": owner, "day": day, "sex": sex, "age": age, "x": x,
             "state": np.array(list("abc"))[state], "codes": codes}  # fmt: skip
    return conform(pd.DataFrame({k: v[here] for k, v in table.items()}), SCHEMA)


def _shuffle(df, rng):
    """Visits go to other patients who have one of that number; days stay."""
    slot = df.groupby("patient").cumcount()
    shuffled = df.copy()
    moved = [name for name in df if name not in ("patient", "day")]
    for rows in df.groupby(slot).indices.values():
        shuffled.loc[rows, moved] = df.iloc[rng.permutation(rows)][moved].set_axis(rows)
    return shuffled


@pytest.fixture
def no_detection(monkeypatch):
    """Boosted trees take most of the time; they are needed where they are looked at."""
    monkeypatch.setattr(temporal, "compare_detection", lambda **tables: {"skipped": "no need"})


@pytest.fixture(scope="module")
def real():
    return {"train": _draw(0, 1500), "test": _draw(1)}


@pytest.fixture(scope="module")
def other(real):
    """A table with another law in every respect."""
    law = {"phi": 0.2, "matrix": OTHER, "kept": 0.1, "visits": (4,), "gap": (2, 3, 4)}
    return evaluate_temporal(**real, synthetic=_draw(2, 1500, **law), schema=SCHEMA)


def test_autocorrelation_is_that_of_the_process(other):
    """Spearman's correlation of a Gaussian AR(1) is 6/pi asin(phi / 2)."""
    expected = {part: 6 / np.pi * np.arcsin(phi / 2) for part, phi in
                (("train", 0.7), ("test", 0.7), ("synthetic", 0.2))}  # fmt: skip
    for part, value in expected.items():
        assert other["columns"]["x"][part] == pytest.approx(value, abs=0.04)
    gap = expected["train"] - expected["synthetic"]
    assert other["distances"]["lag x"]["synthetic"] == pytest.approx(gap, abs=0.05)


def test_transition_distance_is_that_of_the_matrices(other):
    weights = _stationary(REAL)
    expected = weights @ np.abs(REAL - OTHER).sum(axis=1) / 2
    assert other["distances"]["lag state"]["synthetic"] == pytest.approx(expected, abs=0.03)
    assert other["columns"]["state"]["train"] == pytest.approx(weights @ np.diag(REAL), abs=0.03)


def test_recurrence_of_codes_is_the_chance_to_keep_them(other):
    """A new single code equals the last one in 1 of 40."""
    for part, kept in (("train", 0.6), ("synthetic", 0.1)):
        expected = kept + (1 - kept) / 40
        assert other["columns"]["codes"][part] == pytest.approx(expected, abs=0.04)


def test_visits_and_gaps_have_their_known_distances(other):
    """Visits: 2, 3 or 4 alike against 4 always. Gaps: 1..3 against 2..4."""
    distances = other["distances"]
    assert distances["visits"]["synthetic"] == pytest.approx(2 / 3, abs=0.03)
    assert distances["gaps"]["synthetic"] == pytest.approx(1 / 3, abs=0.03)
    assert other["mean_visits"]["synthetic"] == 4
    flagged = ("lag x", "lag state", "lag codes", "visits", "gaps", "detection")
    assert set(flagged) <= set(other["flags"])
    json.dumps(other, allow_nan=False)


def test_a_trend_over_visits_is_seen_where_the_next_visit_follows_as_before(real, no_detection):
    """Each visit lies half a deviation above the last: ranks tell, correlations hardly do."""
    table = _draw(2)
    slot = table.groupby("patient").cumcount()
    risen = table.assign(x=table["x"] + 0.5 * slot)
    found = evaluate_temporal(**real, synthetic=risen, schema=SCHEMA)
    x, state = (found["distances"][f"by_visit {name}"] for name in ("x", "state"))
    assert x["synthetic"] > 3 * x["limit"] and state["synthetic"] < 1.5 * state["limit"]


def test_shuffled_visits_are_flagged_and_a_second_real_sample_is_not(real):
    second = _draw(3)
    found = evaluate_temporal(**real, synthetic=second, schema=SCHEMA)
    assert found["flags"] == []
    assert found["detection"]["auc"]["lower"] < 0.5 < found["detection"]["auc"]["upper"]
    shuffled = _shuffle(second, np.random.default_rng(0))
    found = evaluate_temporal(**real, synthetic=shuffled, schema=SCHEMA)
    expected = {"lag x", "lag state", "lag codes", "constancy sex", "constancy age", "detection"}
    assert expected <= set(found["flags"])
    assert not {"visits", "gaps", "by_visit x", "by_visit state"} & set(found["flags"])
    assert found["detection"]["auc"]["lower"] > 0.6


@pytest.mark.usefixtures("no_detection")
def test_real_samples_are_hardly_ever_flagged():
    flagged = 0
    for seed in range(0, 24, 3):
        train, test, second = (_draw(seed + part, 400) for part in range(3))
        flagged += bool(evaluate_temporal(train, test, second, SCHEMA)["flags"])
    assert flagged <= 2  # 1 in 21 each: more than 2 of 8 has a chance of 0.5%


def test_one_second_real_sample_in_21_is_flagged_whatever_the_number_of_checks():
    rng = np.random.default_rng(0)
    for checks in (3, 40):
        scale = rng.uniform(0.001, 0.1, checks)
        draws = rng.gamma(4.0, scale, (1000, 21, checks))
        beyond = [(draw[20] > _find_limits(draw[:20])).any() for draw in draws]
        assert 0.02 < np.mean(beyond) < 0.09


def test_constancy_is_the_share_of_patients_who_keep_it(real, no_detection):
    table = _draw(2, 1000)
    last = table.groupby("patient").cumcount(ascending=False) == 0
    few = table["patient"] % 10_000 < 100
    changed = table.assign(
        sex=table["sex"].where(~(last & few), table["sex"].map({"F": "M", "M": "F"})),
        age=table["age"].where(~(last & few), 99.0),
    )
    found = evaluate_temporal(**real, synthetic=changed, schema=SCHEMA)["constancy"]
    assert found["sex"] == {"train": 1.0, "test": 1.0, "synthetic": pytest.approx(0.9)}
    assert found["age"] == {"train": 1.0, "test": 1.0, "synthetic": pytest.approx(0.9)}


def test_rows_without_their_patient_are_flagged_and_the_rest_is_skipped(real):
    lone = _draw(2).assign(patient=lambda df: np.arange(len(df)) + 50_000)
    found = evaluate_temporal(**real, synthetic=lone, schema=SCHEMA)
    reason = "fewer than 20 synthetic patients have two visits"
    assert found["columns"] == found["constancy"] == {"skipped": reason}
    assert found["flags"] == ["visits", "detection"] and found["mean_visits"]["synthetic"] == 1
    assert reason in write_visits({"temporal": found})


def test_no_order_no_result(real):
    found = evaluate_temporal(**real, synthetic=real["test"], schema=Schema(COLUMNS))
    assert found == {"skipped": "the schema names no order of visits"}
    assert "names no order" in write_visits({"temporal": found})


def test_report_shows_visits_and_no_real_level(real, other, no_detection):
    page = write_visits({"temporal": other})
    assert page.count("<img") == 3 and "x, from visit to visit" in page
    assert "whole patients can be told apart" in page and "codes, at each visit" in page
    clean = evaluate_temporal(**real, synthetic=_draw(3), schema=SCHEMA)
    assert "No check of the visits is flagged" in write_visits({"temporal": clean})
    few = real["train"].assign(state=real["train"]["state"].where(lambda s: s.index > 3, "secret"))
    found = evaluate_temporal(few, real["test"], _draw(3), SCHEMA)
    assert "secret" not in json.dumps(found)
