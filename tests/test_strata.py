import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.membership import Scores
from synthdiff.eval.strata import audit_strata, find_outliers, find_rare, outlier_scores

SCHEMA = Schema((Column("sex", "categorical"), Column("dx", "code_set"), Column("x", "continuous")))


def test_outlier_score_is_the_mean_distance_to_others_only():
    """Patient 0 has ten equal visits: neighbours of her own say nothing about how alone she is."""
    rng = np.random.default_rng(0)
    others = rng.normal(size=(50, 2)).astype(np.float32)
    features = np.concatenate([np.full((10, 2), 9.0, np.float32), others])
    patients = np.concatenate([np.zeros(10, np.int64), np.arange(1, 51)])
    scores = outlier_scores(features, patients)
    far = np.sort(np.linalg.norm(others - 9.0, axis=1))[:5].mean()
    np.testing.assert_allclose(scores[:10], far, rtol=1e-4)
    gaps = np.linalg.norm(others[:, None] - others[None], axis=2)
    np.testing.assert_allclose(scores[10:], np.sort(gaps, axis=1)[:, 1:6].mean(axis=1), rtol=1e-4)


def test_outliers_are_found_in_every_part_without_the_labels():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    rows[[3, 60, 150]] += 20
    ids = np.array([f"p{i}" for i in range(200)])
    parts = [(rows[:100], ids[:100]), (rows[100:], ids[100:])]
    found = find_outliers(parts)
    assert sum(map(len, found)) == 10
    assert {"p3", "p60"} <= set(found[0]) and "p150" in found[1]
    again = find_outliers(parts[::-1])  # members and others swapped: the same people
    assert [sorted(part) for part in again[::-1]] == [sorted(part) for part in found]


def test_equal_ids_in_two_parts_are_two_patients():
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    rows[5] += 30
    found = find_outliers([(rows[:20], np.arange(20)), (rows[20:], np.arange(20))])
    assert 5 in found[0] and 5 not in found[1]


def test_rare_values_are_counted_by_patient_over_all_parts():
    def table(n):
        return pd.DataFrame({"sex": ["F"] * n, "dx": ["A"] * n, "x": np.arange(n)})

    train, test = table(100), table(100)
    train.loc[:19, "sex"] = "X"  # 20 rows of one patient
    train.loc[50:61, "dx"] = "A;C"  # 12 patients: not rare
    test.loc[7, "dx"] = "A;R"
    ids = np.concatenate([np.zeros(20, np.int64), np.arange(20, 100)])
    found = find_rare([(train, ids), (test, np.arange(1000, 1100))], SCHEMA)
    np.testing.assert_array_equal(found[0], [0])
    np.testing.assert_array_equal(found[1], [1007])


def test_where_most_hold_a_rare_code_the_rarest_are_apart():
    """1,000 patients with a code that 5 share, and 60 of them with one of their own."""
    codes = [f"S{i % 200}" + (f";L{i}" if i < 60 else "") for i in range(1000)]
    table = pd.DataFrame({"sex": ["F"] * 1000, "dx": codes, "x": np.arange(1000)})
    parts = [(table[:500], np.arange(500)), (table[500:], np.arange(500, 1000))]
    found = find_rare(parts, SCHEMA)
    np.testing.assert_array_equal(found[0], np.arange(60))
    assert len(found[1]) == 0
    table["dx"] = [f"L{i}" for i in range(1000)]  # nobody is rarer than another
    assert sum(map(len, find_rare([(table, np.arange(1000))], SCHEMA))) == 1000


def _scores(rng, n, exposed=()):
    members, others = rng.normal(size=n), rng.normal(size=n)
    members[list(exposed)] = 10
    return Scores((members, others), (members, others))


def test_a_leak_of_the_outliers_only_shows_in_their_stratum():
    rng = np.random.default_rng(0)
    ids = (np.arange(1000), np.arange(1000, 2000))
    scores = {"leaky": _scores(rng, 1000, range(40)), "blind": _scores(rng, 1000)}
    found = audit_strata(
        {"outliers": [ids[0][:50], ids[1][:50]], "few": [ids[0][:9], ids[1]]}, scores, ids, rng
    )
    outliers = found["outliers"]
    assert (outliers["members"], outliers["nonmembers"]) == (50, 50)
    assert outliers["attacks"]["leaky"]["tpr_at_1pct_fpr"]["value"] >= 0.8
    assert outliers["attacks"]["leaky"]["p_value"] < 1e-6
    assert outliers["attacks"]["blind"]["p_value"] > 0.005
    assert "9 members and 1000 non-members" in found["few"]["skipped"]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_strata_keep_the_level_of_the_test(share):
    p_values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        ids = (np.arange(100), np.arange(100, 200))
        scores = {"attack": _scores(rng, 100, range(int(50 * share)))}
        found = audit_strata({"s": [ids[0][:50], ids[1][:50]]}, scores, ids, rng)
        p_values.append(found["s"]["attacks"]["attack"]["p_value"])
    rejected = np.mean(np.array(p_values) < 0.05)
    assert rejected == 1 if share else rejected <= 0.12
