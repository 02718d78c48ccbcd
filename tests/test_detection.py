import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.detection import cross_fitted_scores, detection_auc
from synthdiff.eval.statistics import auc

SCHEMA = Schema(
    (Column("patient", "entity"), Column("x", "continuous"), Column("sex", "categorical"))
)


def _table(rng, rows):
    x = rng.normal(size=rows)
    sex = np.where(x + 0.2 * rng.normal(size=rows) > 0, "F", "M")
    return pd.DataFrame({"patient": np.arange(rows) // 2, "x": x, "sex": sex})


def _constant_patients(rng, patients=60, visits=20):
    ids = np.repeat(np.arange(patients), visits)
    return pd.DataFrame({"patient": ids, "x": np.repeat(rng.normal(size=patients), visits)})


def test_a_second_real_sample_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    found = detection_auc(_table(rng, 1500), _table(rng, 1500), SCHEMA, 0)
    assert abs(found["value"] - 0.5) < 0.05
    assert found["lower"] < found["value"] < found["upper"]


def test_shifted_rows_are_told_apart():
    rng = np.random.default_rng(0)
    real, other = _table(rng, 600), _table(rng, 600)
    assert detection_auc(real, other.assign(x=other["x"] + 6), SCHEMA, 0)["value"] > 0.99


def test_a_broken_relation_is_seen_where_every_column_agrees():
    rng = np.random.default_rng(0)
    real = _table(rng, 1500)
    shuffled = real.assign(sex=rng.permutation(real["sex"].to_numpy()))
    assert detection_auc(real, shuffled, SCHEMA, 0)["lower"] > 0.6


def test_folds_by_row_would_leak_and_folds_by_patient_do_not():
    """Each patient has one constant record: fresh patients cannot be told apart, even so."""
    rng = np.random.default_rng(0)
    schema = Schema((Column("patient", "entity"), Column("x", "continuous")))
    tables = [_constant_patients(rng) for _ in range(2)]
    grouped = detection_auc(*tables, schema, 0)
    assert grouped["lower"] <= 0.5 <= grouped["upper"]
    by_row = detection_auc(*(t.assign(patient=range(1200)) for t in tables), schema, 0)
    assert by_row["lower"] > 0.9


def test_cross_fitting_is_unbiased_at_small_sizes():
    """Folds drawn per side keep the classes balanced; a shared draw pulls the AUC below 1/2."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(2, 60, 2)).astype(np.float32)
        ids = np.arange(60)
        found.append(auc(*cross_fitted_scores(a, b, ids, ids, rng, max_iter=10)))
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found) / np.sqrt(20)


def test_few_rows_are_skipped_with_a_reason():
    rng = np.random.default_rng(0)
    table = _table(rng, 100)
    assert "fewer than 20 rows" in detection_auc(table, table.head(5), SCHEMA, 0)["skipped"]


def test_same_seed_same_result():
    rng = np.random.default_rng(0)
    real, other = _table(rng, 200), _table(rng, 200)
    assert detection_auc(real, other, SCHEMA, 3) == detection_auc(real, other, SCHEMA, 3)
