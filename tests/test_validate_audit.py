"""Audits where nothing was learnt: by patient, and all that counts for a verdict."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.attacks import ATTACKS

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import _common
import validate_audit

SCHEMA = Schema(
    (Column("id", "entity"), Column("age", "continuous"), Column("dose", "continuous"),
     Column("sex", "categorical")),
    target="sex",
)  # fmt: skip


@pytest.fixture(scope="module")
def table():
    """300 patients of four rows that differ little: who shares a patient shares nearly a row."""
    rng = np.random.default_rng(0)
    each = np.repeat(np.arange(300), 4)
    age, dose = rng.normal(size=(2, 300))[:, each] + 1e-3 * rng.normal(size=(2, len(each)))
    return pd.DataFrame({"id": each, "age": age, "dose": dose, "sex": np.where(age > 0, "F", "M")})


def test_parts_share_no_patient_and_all_that_counts_is_tried(table):
    found = validate_audit.audit_split(table, SCHEMA, 7)
    assert (found["unit"], found["patients"]) == ("patient", 60)
    assert found["verdict"] == "INCONCLUSIVE" and "Only 60 patients" in found["reasons"][0]
    assert {*ATTACKS, "copies", "linkability", "inference of sex"} <= set(found["p_values"])
    assert min(found["p_values"].values()) > 1e-4


def test_a_split_by_rows_is_seen(table, monkeypatch):
    split = validate_audit.split_frame
    monkeypatch.setattr(
        validate_audit, "split_frame", lambda df, entity, *rest: split(df, None, *rest)
    )
    found = validate_audit.audit_split(table, SCHEMA, 7)
    assert found["verdict"] == "INVALID" and "more than one" in found["reasons"][0]


def test_a_test_that_few_splits_allow_is_rated_by_those():
    def split(**p_values):
        leaks = {"leak": True, "leak_small": False}
        return {"p_values": p_values, "verdict": "INCONCLUSIVE", "leaks_found": leaks}

    rates = validate_audit.rate_events([split(a=0.5), split(a=0.01, b=0.01), split(a=0.5)])
    assert rates["a"]["value"] == pytest.approx(1 / 3) and rates["b"]["value"] == 1.0
    assert rates["verdict INCONCLUSIVE"]["count"] == rates["planted leak found"]["count"] == 3


def test_a_range_of_seeds_is_read_or_refused(monkeypatch):
    flag = SimpleNamespace(value="100:103")
    monkeypatch.setattr(_common, "FLAGS", {"split_seeds": flag})
    assert list(_common.read_range("split_seeds")) == [100, 101, 102]
    for flag.value in ("5", "7:7", "a:b", "1:2:3"):
        with pytest.raises(InputError, match=f"--split_seeds={flag.value}: names no range"):
            _common.read_range("split_seeds")
