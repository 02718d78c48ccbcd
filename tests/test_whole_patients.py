"""The audit of trajectories: copies of whole patients whose single rows are everybody's."""

import json

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.audit import audit
from synthdiff.eval.controls import ALPHA
from synthdiff.eval.policy import evaluate_policy
from synthdiff.eval.report.privacy import write_privacy
from synthdiff.eval.report.tiles import draw_tiles

PATIENTS, VISITS = 150, 6
SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("day", "integer", "int64"),
        Column("sex", "categorical", "str"),
        Column("ward", "categorical", "str"),
        Column("dose", "integer", "int64"),
    ),
    target="ward",
    sensitive=("sex",),
    order="day",
)


def _draw(seed, patients=PATIENTS):
    """Six visits each; a row is one of 24 that everybody has, a trajectory one of 24 ** 6."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(patients), VISITS)
    return pd.DataFrame(
        {
            "patient": ids + 1000 * seed,
            "day": np.tile(np.arange(VISITS), patients),
            "sex": rng.choice(["F", "M"], patients)[ids],
            "ward": rng.choice(list("abcd"), len(ids)),
            "dose": rng.integers(0, 3, len(ids)),
        }
    )


def _plant(share, change=0.0):
    """A synthetic table in which a share of the patients are members, some cells drawn anew."""
    fresh, rng = _draw(4), np.random.default_rng(9)
    copied = int(share * PATIENTS) * VISITS
    planted = _draw(1).head(copied)
    anew = rng.random(copied) < change
    planted["dose"] = np.where(anew, rng.integers(0, 3, copied), planted["dose"])
    planted = planted.assign(patient=-planted["patient"])
    return pd.concat([planted, fresh.iloc[copied:]], ignore_index=True)


def _audit(synthetic, schema=SCHEMA, **options):
    return audit(_draw(1), _draw(2), _draw(3), synthetic, schema, **options)


@pytest.fixture(scope="module")
def clean():
    return _audit(_draw(4))


@pytest.fixture(scope="module")
def copied():
    return _audit(_plant(0.2))


def _leaks(block):
    tests = block["attacks"] | {"copies": block["copies"]}
    return {name for name, found in tests.items() if found["p_value_holm"] < ALPHA}


def test_copied_trajectories_are_found_where_no_row_tells(copied):
    assert copied["verdict_of_rows"] == "INCONCLUSIVE" and not _leaks(copied)
    assert {"distance", "calibrated_distance", "copies"} <= _leaks(copied["whole_patients"])
    assert copied["whole_patients"]["copies"]["train_share"] == pytest.approx(0.2)
    assert copied["verdict"] == copied["whole_patients"]["verdict"] == "LEAK DETECTED"
    assert all(reason.startswith("Whole patients: ") for reason in copied["reasons"])
    status = {gate["name"]: gate["status"] for gate in copied["gates"]}
    for name in ("membership test", "exact copies"):
        assert status[name] == "PASS" and status[f"{name}, whole patients"] == "FAIL"


def test_the_summary_names_the_strongest_attack_of_both(copied, clean):
    blocks = copied["attacks"], copied["whole_patients"]["attacks"]
    rows, whole = ({n: a["auc"]["value"] for n, a in block.items()} for block in blocks)
    assert max(whole.values()) > max(rows.values())
    page = draw_tiles(None, copied)
    strongest = max(whole, key=whole.get).replace("_", " ")
    assert f"Strongest of {len(rows) + len(whole)} attacks: {strongest} on whole patients" in page
    rows_only = draw_tiles(None, {k: v for k, v in clean.items() if k != "whole_patients"})
    assert f"Strongest of {len(rows)} attacks: " in rows_only


def test_trajectories_that_are_nearly_copied_are_found_too():
    """Three doses in ten drawn anew: few trajectories stay equal, and all stay near."""
    found = _audit(_plant(0.3, change=0.3))
    assert not _leaks(found)
    assert found["whole_patients"]["copies"]["train_share"] < 0.1
    assert "calibrated_distance" in _leaks(found["whole_patients"])


def test_other_patients_trajectories_are_no_leak(clean):
    assert not _leaks(clean) and not _leaks(clean["whole_patients"])
    assert clean["verdict"] == "INCONCLUSIVE"  # 150 patients a side
    assert clean["whole_patients"]["controls"]["leak"]["detected"]
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean


def test_p_values_of_trajectories_keep_their_level():
    """Four audits of fresh patients: 32 tests, of which chance may fail a few."""
    low = []
    for seed in range(10, 26, 4):
        tables = (_draw(seed + at, 100) for at in range(4))
        block = audit(*tables, SCHEMA)["whole_patients"]
        tests = [*block["attacks"].values(), block["copies"]]
        low += [found["p_value"] < 0.05 for found in tests]
    assert len(low) == 32 and np.mean(low) <= 0.15


def test_all_tests_are_adjusted_together(clean):
    alone = _audit(_draw(4), Schema(SCHEMA.columns, SCHEMA.target, SCHEMA.sensitive))
    assert "whole_patients" not in alone
    for name, attack in alone["attacks"].items():
        assert attack["auc"] == clean["attacks"][name]["auc"]
        assert clean["attacks"][name]["p_value_holm"] >= attack["p_value_holm"]
    assert clean["minimum_detectable_tpr"] >= alone["minimum_detectable_tpr"]
    names = [gate["name"] for gate in clean["gates"]]
    assert len(set(names)) == len(names)
    assert "inference of sex, whole patients" in names, "sex is one value of a patient"
    assert not any("ward, whole" in name for name in names), "the ward changes with the visit"


def test_too_few_visits_are_said_and_not_passed():
    first = [df[df["day"] == 0] for df in (_draw(1), _draw(2), _draw(3), _draw(4))]
    found = audit(*first, SCHEMA)
    assert "two visits" in found["whole_patients"]["skipped"]
    gates = {gate["name"]: gate["status"] for gate in evaluate_policy(found)}
    assert gates["whole patients"] == "INCONCLUSIVE"
    assert "two visits" in write_privacy(found, {}, SCHEMA)


def test_report_shows_the_audit_of_whole_patients(copied):
    page = write_privacy(copied, {}, SCHEMA)
    assert "Whole patients: can trajectories" in page and "By trajectories: " in page
