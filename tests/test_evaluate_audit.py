"""evaluate() and audit() end to end, on small tables whose answer is known."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.audit import audit
from synthdiff.eval.controls import ALPHA
from synthdiff.eval.evaluate import evaluate
from synthdiff.eval.statistics import interval
from synthdiff.eval.verdict import decide

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("age", "continuous"),
        Column("dose", "continuous"),
        Column("weight", "continuous"),
        Column("sex", "categorical"),
    ),
    target="sex",
)
PATIENTS = 1050


def _draw(seed, patients=PATIENTS, shift=0.0):
    """Two visits each of fresh patients, whose ids no other seed shares."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(patients), 2) + seed * 1_000_000
    age, dose, weight = rng.normal(size=(3, len(ids))) + shift
    sex = np.where(age + rng.normal(size=len(ids)) > 0, "F", "M")
    return pd.DataFrame({"patient": ids, "age": age, "dose": dose, "weight": weight, "sex": sex})


def _tables(**changes):
    names = ("train", "test", "reference", "synthetic")
    return {name: _draw(seed) for seed, name in enumerate(names)} | changes


def _audit(**changes):
    return audit(**_tables(**changes), schema=SCHEMA)


@pytest.fixture(scope="module")
def clean():
    return _audit()


@pytest.fixture(scope="module")
def copied():
    return _audit(synthetic=_draw(0))


def test_evaluate_has_every_part_and_is_plain_json():
    tables = {name: table for name, table in _tables().items() if name != "reference"}
    tables = {name: table.head(400) for name, table in tables.items()}
    tables["synthetic"] = tables["synthetic"].assign(dose=np.nan)
    result = evaluate(**tables, schema=SCHEMA)
    assert set(result) == {"rows", "fidelity", "detection", "utility", "subgroups", "diversity",
                           "codes", "temporal", "marginals", "joint"}  # fmt: skip
    assert result["rows"] == {"train": 400, "test": 400, "synthetic": 400}
    assert set(result["marginals"]) == {"age", "dose", "weight", "sex"}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_evaluate_skips_what_cannot_run_and_stays_json():
    tiny = _draw(0, patients=4)
    result = evaluate(tiny, tiny, tiny, SCHEMA)
    assert "skipped" in result["detection"] and "skipped" in result["utility"]
    json.dumps(result, allow_nan=False)


def test_evaluate_names_an_absent_column():
    table = _draw(0, patients=20)
    with pytest.raises(InputError, match="synthetic table"):
        evaluate(table, table, table.drop(columns="dose"), SCHEMA)


def test_fresh_draws_are_no_leak(clean):
    assert clean["verdict"] == "NO LEAK DETECTED", clean["reasons"]
    assert clean["members"] == clean["nonmembers"] == PATIENTS
    assert set(clean["attacks"]) == set(ATTACKS)
    assert clean["controls"]["leak"]["detected"]
    assert any("lower bound" in reason for reason in clean["reasons"])
    nothing, leak = (clean["controls"][name]["auc_by_attack"] for name in ("null", "leak"))
    assert set(nothing) == set(leak) == set(ATTACKS)
    assert all(auc["lower"] <= 0.5 <= auc["upper"] for auc in nothing.values())
    for name in ("distance", "calibrated_distance"):  # one that finds just the planted has 0.55
        assert 0.5 < leak[name]["lower"] <= 0.55 <= leak[name]["upper"], name
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean


def test_a_copied_training_table_is_a_leak(copied):
    assert copied["verdict"] == "LEAK DETECTED"
    assert copied["copies"]["train_share"] == 1.0
    assert copied["copies"]["p_value_holm"] < ALPHA
    for name in ("distance", "calibrated_distance", "neighbourhood"):
        assert copied["attacks"][name]["p_value_holm"] < ALPHA, name
    json.dumps(copied, allow_nan=False)


def test_a_table_of_one_tenth_copies_is_a_leak():
    synthetic = pd.concat([_draw(0).head(PATIENTS // 5), _draw(3).iloc[PATIENTS // 5 :]])
    assert _audit(synthetic=synthetic)["verdict"] == "LEAK DETECTED"


def test_a_leak_of_the_outliers_alone_decides_the_verdict():
    """Nearly copied are 16 of 50 patients whose numbers do not go together: too few of all."""

    def odd(seed):
        table = _draw(seed)
        usual = table["patient"] % 1_000_000 >= 50
        rng = np.random.default_rng(seed + 50)
        for name in ("dose", "weight"):
            table.loc[usual, name] = table["age"] + 0.1 * rng.normal(size=len(table))
        return table

    train = odd(0)
    copied = train[train["patient"] < 16].assign(age=lambda df: df["age"] + 0.002)
    synthetic = pd.concat([copied, odd(3).iloc[100:]])
    found = _audit(train=train, test=odd(1), reference=odd(2), synthetic=synthetic)
    assert found["copies"]["train_share"] == 0
    strata = found["strata"]["outliers"]["attacks"]
    assert min(attack["p_value_holm"] for attack in strata.values()) < ALPHA
    assert min(attack["p_value_holm"] for attack in found["attacks"].values()) > ALPHA
    assert found["verdict"] == "LEAK DETECTED"
    assert any("on outliers only" in reason for reason in found["reasons"])


def test_inference_of_members_alone_decides_the_verdict(clean):
    game = SimpleNamespace(overlap=0, patients=2000, unit="patient")
    rate = interval(0.6, 0.5, 0.7)
    risk = {"attack": rate, "control": rate | {"value": 0.4}, "p_value": 0.001}
    for p_value, verdict in ((0.2, "NO LEAK DETECTED"), (0.001, "LEAK DETECTED")):
        inferred = {"inference": {"sex": risk | {"p_value_holm": p_value}}}
        found, reasons = decide(game, clean | {"disclosure": inferred}, clean["controls"])
        assert found == verdict
    assert "Inference of sex succeeds on 60.0%" in reasons[0]


def test_members_who_are_in_the_reference_under_another_id_are_invalid():
    """They are few, so that no AUC tells, and ids do not: the attacks find them without a model."""
    reference, train = _draw(2), _draw(0)
    cells = [name for name in train if name != "patient"]
    reference.loc[:167, cells] = train.loc[:167, cells]  # 84 of 1050, half of them in "fresh rows"
    found = _audit(reference=reference)
    null = found["controls"]["null"]
    assert null["auc"]["lower"] < 0.5 < null["auc"]["upper"]
    assert found["verdict"] == "INVALID" and "finds some members where" in found["reasons"][0]


def test_a_biased_split_is_invalid():
    found = _audit(test=_draw(1, shift=1.0))
    assert found["verdict"] == "INVALID"
    assert "differ by themselves" in " ".join(found["reasons"])


def test_shared_patients_are_invalid_even_where_copies_are_found():
    test = _draw(1)
    test.loc[:1, "patient"] = 0
    found = _audit(test=test, synthetic=_draw(0))
    assert found["verdict"] == "INVALID"
    assert found["reasons"][0].startswith("1 patients appear in more than one")


def test_too_few_patients_are_inconclusive_without_a_leak_only():
    few = {name: _draw(seed, 150) for seed, name in enumerate(("train", "test", "reference"))}
    found = _audit(**few)
    assert found["verdict"] == "INCONCLUSIVE"
    assert "Only 150 patients" in found["reasons"][0]
    assert _audit(**few, synthetic=few["train"])["verdict"] == "LEAK DETECTED"


def test_f1_takes_the_population_that_it_is_told(clean):
    assert clean["membership_f1"]["share"] == pytest.approx(1 / 3)  # of three equal tables
    told = _audit(population=30 * PATIENTS, max_patients=30)["membership_f1"]
    assert told["share"] == pytest.approx(1 / 30)
    assert told["naive"] == pytest.approx(2 / 31)
    with pytest.raises(InputError, match=r"population: 20 people, where the tables hold .*Fix"):
        _audit(population=20)


def test_no_more_patients_are_attacked_than_wanted():
    found = audit(**_tables(), schema=SCHEMA, max_patients=30)
    assert found["members"] == found["nonmembers"] == 30
    assert found["reference_rows"] == found["synthetic_rows"] == 300
    assert "Attacks saw a random 300 of 2100 rows." in found["reasons"]
    linked = found["disclosure"]["linkability"]
    assert linked["attempts"] == linked["control_attempts"] == 30


def test_too_small_parts_are_refused():
    with pytest.raises(InputError, match="an audit needs 20"):
        _audit(test=_draw(1, 10))


def test_same_seed_same_audit(clean):
    assert _audit() == clean
