import numpy as np
from scipy import stats

from synthdiff.eval import statistics
from synthdiff.eval.attacks import View, distance
from synthdiff.eval.membership import (
    Side,
    patient_scores,
    score_attack,
    summarise_attack,
    summarise_scores,
)


def _side(rng, patients, visits, dims=3, levels=None, offset=0):
    values = rng.normal(size=(patients * visits, dims)).astype(np.float32)
    if levels:
        values = np.floor(stats.norm.cdf(values) * levels).astype(np.float32)
    ids = offset + rng.permutation(np.repeat(np.arange(patients), visits))
    return Side(values, ids, _keys(values))


def _attack(members, others, synthetic, reference, rng):
    view = View(np.concatenate([members.features, others.features]), synthetic, reference)
    return summarise_attack(score_attack(distance, members, others, view), rng)


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
    result = _attack(members, others, synthetic, synthetic, rng)
    assert result["tpr_at_1pct_fpr"]["value"] == 1.0
    assert result["p_value"] < 1e-12
    means = [
        np.bincount(side.patients, distance(View(side.features, synthetic, synthetic))) / 10
        for side in (members, others)
    ]
    assert statistics.tpr_at_fpr(*means) < 0.5


def test_strict_rate_needs_a_thousand_strangers():
    rng = np.random.default_rng(0)
    members, others = rng.normal(size=2000), rng.normal(size=5000)
    members[:40] = 9.0  # 2 % stand out
    found = summarise_scores(members, others, rng)["tpr_at_0.1pct_fpr"]
    assert 0.02 <= found["value"] <= 0.03 and found["lower"] >= 0.01
    few = summarise_scores(members, others[:999], rng)["tpr_at_0.1pct_fpr"]
    assert "999 non-members" in few["skipped"]


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


def test_a_few_copies_are_found_though_the_auc_subtracts_its_baseline():
    rng = np.random.default_rng(0)
    members, others = _side(rng, 1000, 1), _side(rng, 1000, 1)
    reference, synthetic = (_side(rng, 4000, 1).features for _ in range(2))
    synthetic[:50] = members.features[:50]
    result = _attack(members, others, synthetic, reference, rng)
    assert result["tpr_at_1pct_fpr"]["value"] >= 0.05
    assert result["p_value"] < 1e-6
    assert set(result) >= {"auc", "auc_unadjusted"}
