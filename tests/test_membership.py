import numpy as np
import pytest
from scipy import stats

from synthdiff.eval import statistics
from synthdiff.eval.attacks import distance
from synthdiff.eval.membership import Side, compare_copies, patient_scores, run_attack


def _side(rng, patients, visits, dims=3, levels=None, offset=0):
    values = rng.normal(size=(patients * visits, dims)).astype(np.float32)
    if levels:
        values = np.floor(stats.norm.cdf(values) * levels).astype(np.float32)
    ids = offset + rng.permutation(np.repeat(np.arange(patients), visits))
    return Side(values, ids, _keys(values))


def _keys(values):
    return np.array([hash(row.tobytes()) & (2**63 - 1) for row in values], dtype=np.uint64)


def test_patient_score_is_the_highest_of_the_visits():
    ids = np.array(["b", "a", "b", "c"])
    np.testing.assert_array_equal(patient_scores(np.array([1.0, 5, 3, -2]), ids), [5, 3, -2])


def test_one_copied_visit_exposes_the_patient_where_the_mean_hides_it():
    rng = np.random.default_rng(0)
    members, others = _side(rng, 200, 10), _side(rng, 200, 10)
    first_visits = np.unique(members.patients, return_index=True)[1]
    synthetic = members.features[first_visits]
    result = run_attack(distance, members, others, synthetic, synthetic, rng=rng)
    assert result["tpr_at_1pct_fpr"]["value"] == 1.0
    assert result["p_value"] < 1e-12
    means = [
        np.bincount(side.patients, distance(side.features, synthetic, synthetic)) / 10
        for side in (members, others)
    ]
    assert statistics.tpr_at_fpr(*means) < 0.5


def test_visits_of_one_patient_count_once():
    """Scores that agree within patients: by row the p-value is tiny far too often."""
    by_patient, by_row = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores = [np.repeat(rng.normal(size=30), 20) for _ in range(2)]
        ids = np.repeat(np.arange(30), 20)
        by_patient.append(statistics.rank_p_value(*(patient_scores(side, ids) for side in scores)))
        by_row.append(statistics.rank_p_value(*scores))
    assert np.mean(np.array(by_patient) < 0.05) <= 0.12
    assert np.mean(np.array(by_row) < 0.05) > 0.25


def test_copied_rows_are_counted_against_the_holdout():
    rng = np.random.default_rng(0)
    members, others = _side(rng, 50, 2), _side(rng, 50, 2, offset=50)
    synthetic = np.concatenate([members.features[:30], others.features[:10]])
    found = compare_copies(members, others, synthetic, _keys(synthetic), rng)
    assert (found["train_share"], found["holdout_share"]) == (0.3, 0.1)
    assert found["closer_to_train_share"]["value"] == 0.75
    assert found["p_value"] < 0.05


def test_copy_of_a_table_with_few_distinct_rows_fails_the_smoke_test():
    """Every row occurs on both sides, so "closer to train" ties; rows paired one by one do not."""
    rng = np.random.default_rng(0)
    members, others = (_side(rng, 500, 1, dims=4, levels=3, offset=i) for i in (0, 500))
    found = compare_copies(members, others, members.features, members.keys, rng)
    assert found["train_share"] == 1.0 > found["holdout_share"]
    assert found["p_value"] < 0.01
    assert found["closer_to_train_share"]["value"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("levels", [None, 3])
def test_copy_test_keeps_its_level_without_copies(levels):
    p_values, covered = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sides = [_side(rng, 60, 2, levels=levels, offset=i) for i in (0, 60)]
        synthetic = _side(rng, 300, 1, levels=levels)
        found = compare_copies(*sides, synthetic.features, synthetic.keys, rng)
        p_values.append(found["p_value"])
        share = found["closer_to_train_share"]
        covered.append(share["lower"] <= 0.5 <= share["upper"])
    assert np.mean(np.array(p_values) < 0.05) <= 0.13
    assert np.mean(covered) >= 0.85


def test_a_few_copies_are_found_though_the_auc_subtracts_its_baseline():
    rng = np.random.default_rng(0)
    members, others = _side(rng, 1000, 1), _side(rng, 1000, 1)
    reference, synthetic = (_side(rng, 4000, 1).features for _ in range(2))
    synthetic[:50] = members.features[:50]
    result = run_attack(distance, members, others, synthetic, reference, rng=rng)
    assert result["tpr_at_1pct_fpr"]["value"] >= 0.05
    assert result["p_value"] < 1e-6
    assert set(result) >= {"auc", "auc_unadjusted"}
