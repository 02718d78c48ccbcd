import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.eval import statistics

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(SCORES, SCORES)
def test_auc_counts_pairs_and_ties_half(members, nonmembers):
    m, n = np.array(members)[:, None], np.array(nonmembers)[None, :]
    brute = np.mean((m > n) + 0.5 * (m == n))
    assert statistics.auc(m[:, 0], n[0]) == pytest.approx(brute)


@settings(max_examples=50, deadline=None)
@given(SCORES, SCORES, st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]))
def test_tpr_is_best_threshold_within_the_fpr(members, nonmembers, fpr):
    m, n = np.array(members), np.array(nonmembers)
    thresholds = np.arange(-4, 6)
    allowed = [np.mean(m >= t) for t in thresholds if np.mean(n >= t) <= fpr + 1e-12]
    assert statistics.tpr_at_fpr(m, n, fpr) == pytest.approx(max(allowed))


@pytest.mark.parametrize(
    ("shift", "area", "tpr"), [(1, 0.7602, 0.0924), (2, 0.9214, 0.3721), (4, 0.9977, 0.9529)]
)
def test_gaussian_shift_law(shift, area, tpr):
    rng = np.random.default_rng(shift)
    members, nonmembers = rng.normal(shift, 1, 20_000), rng.normal(0, 1, 20_000)
    assert statistics.auc(members, nonmembers) == pytest.approx(area, abs=0.01)
    assert statistics.tpr_at_fpr(members, nonmembers, 0.01) == pytest.approx(tpr, abs=0.025)


@pytest.mark.parametrize(
    ("d", "n", "area", "tpr"),
    [(50, 100, 0.6910, 0.0536), (200, 100, 0.8407, 0.1820), (1000, 250, 0.9211, 0.3723)],
)
def test_released_mean_of_gaussians_law(d, n, area, tpr):
    """Score <x, mean of D>: AUC = Phi((d/n) / sqrt((n+1) d/n^2 + d/n)), about Phi(sqrt(d/2n))."""
    rng = np.random.default_rng(0)
    assert stats.norm.cdf((d / n) / np.sqrt((n + 1) * d / n**2 + d / n)) == pytest.approx(
        area, abs=1e-4
    )
    members, others = [], []
    for _ in range(20):
        rows = rng.normal(size=(2, n, d))
        released = rows[0].mean(axis=0)
        members.append(rows[0] @ released)
        others.append(rows[1] @ released)
    members, others = np.concatenate(members), np.concatenate(others)
    assert statistics.auc(members, others) == pytest.approx(area, abs=0.025)
    assert statistics.tpr_at_fpr(members, others, 0.01) == pytest.approx(tpr, abs=0.035)


def test_all_tied_scores_reveal_nothing():
    tied = np.zeros(500)
    assert statistics.auc(tied, tied) == 0.5
    assert statistics.tpr_at_fpr(tied, tied, 0.99) == 0
    assert statistics.membership_p_value(tied, tied) == 1.0


def test_monotone_transform_changes_nothing():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0.5, 1, 300), rng.normal(0, 1, 400)
    for measure in (
        statistics.auc,
        statistics.auc_interval,
        statistics.tpr_at_fpr,
        statistics.membership_p_value,
        statistics.roc_points,
    ):
        assert measure(members, nonmembers) == measure(np.exp(members), np.exp(nonmembers))


def _auc_coverage(clustered: bool, use_groups: bool) -> float:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        effect = np.repeat(rng.normal(size=40), 5) if clustered else 0.0
        members = 1 + effect + rng.normal(size=200)
        nonmembers = rng.normal(size=150) * np.sqrt(2 if clustered else 1)
        groups = np.repeat(np.arange(40), 5) if use_groups else None
        found = statistics.auc_interval(members, nonmembers, member_groups=groups)
        truth = stats.norm.cdf(1 / np.sqrt(4 if clustered else 2))
        covered += found["lower"] <= truth <= found["upper"]
    return covered / 300


def test_auc_interval_covers_and_needs_groups_for_clusters():
    assert 0.91 <= _auc_coverage(clustered=False, use_groups=False) <= 0.985
    assert 0.90 <= _auc_coverage(clustered=True, use_groups=True) <= 0.985
    assert _auc_coverage(clustered=True, use_groups=False) < 0.90


def test_perfect_separation_keeps_a_lower_bound_below_one():
    found = statistics.auc_interval(np.ones(100), np.zeros(50))
    assert (found["value"], found["upper"]) == (1, 1)
    assert found["lower"] == pytest.approx(0.05 ** (1 / 50))
    nearly = statistics.auc_interval(np.r_[np.ones(99), 0.0], np.zeros(50))
    assert nearly["value"] == 0.995 and nearly["lower"] <= 0.995 - (1 - 0.05 ** (1 / 50))


def test_bootstrap_resamples_both_sides():
    """Its spread matches DeLong's; resampling the members alone would give 0.71 of it."""
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0.3, 1, 400), rng.normal(0, 1, 400)
    delong = statistics.auc_interval(members, nonmembers)
    found = statistics.bootstrap_interval(statistics.auc, members, nonmembers, rng=rng)
    ratio = (found["upper"] - found["lower"]) / (delong["upper"] - delong["lower"])
    assert ratio == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("fpr, count", [(0.001, 1000), (0.01, 300), (0.01, 1000)])
def test_tpr_interval_covers_where_few_false_positives_are_allowed(fpr, count):
    """At 0.1% of 1000 the bootstrap alone covers 8 times in 10, erring towards a leak.

    At 1% of 1000 its lower end alone lay above the truth 4 times in 100, not 2.5.
    """
    rng, below, above = np.random.default_rng(0), 0, 0
    truth = stats.norm.sf(stats.norm.isf(fpr) - 1)
    for _ in range(100):
        members, others = rng.normal(1, 1, count), rng.normal(size=count)
        found = statistics.tpr_interval(members, others, rng=rng, fpr=fpr)
        below += truth < found["lower"]
        above += truth > found["upper"]
    assert below <= 2 and above <= 2


def test_tpr_interval_has_width_where_nothing_is_found():
    found = statistics.tpr_interval(np.zeros(300), np.zeros(300), rng=np.random.default_rng(0))
    assert found["value"] == 0
    assert found["upper"] == pytest.approx(1 - 0.025 ** (1 / 300))


@pytest.mark.parametrize(
    ("count", "total", "centre", "half_width"),
    [
        (850, 1000, 0.849, 0.022),
        (0, 1000, 0.002, 0.002),
        (1000, 1000, 0.998, 0.002),
        (100, 100, 0.9815032508965071, 0.01849674910349284),
        (23, 100, 0.23998824451588613, 0.08155558571285167),
        (11, 100, 0.1244274643007244, 0.06188550073007873),
    ],
)
def test_wilson_vectors(count, total, centre, half_width):
    found = statistics.wilson_interval(count, total)
    tolerance = 5e-4 if total == 1000 else 1e-9
    assert (found["lower"] + found["upper"]) / 2 == pytest.approx(centre, abs=tolerance)
    assert (found["upper"] - found["lower"]) / 2 == pytest.approx(half_width, abs=tolerance)


def test_wilson_vector_of_another_confidence():
    found = statistics.wilson_interval(100, 100, 0.68)
    assert (found["lower"] + found["upper"]) / 2 == pytest.approx(0.9951036894831882, abs=1e-9)


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 200), (20, 20)])
def test_clopper_pearson_is_scipys_exact_interval(count, total):
    exact = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    found = statistics.clopper_pearson(count, total)
    assert (found["lower"], found["upper"]) == pytest.approx((exact.low, exact.high))


def test_no_observations_is_an_input_error():
    with pytest.raises(InputError, match="total"):
        statistics.wilson_interval(0, 0)


def _null_p_values(shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(shift, 1, 300), rng.normal(0, 1, 300)) for _ in range(200)]
    ranks = [statistics.rank_p_value(*pair) for pair in pairs]
    return np.array(ranks), np.array([statistics.membership_p_value(*pair) for pair in pairs])


def test_p_values_are_uniform_under_the_null_and_not_otherwise():
    ranks, combined = _null_p_values(0.0)
    assert stats.kstest(ranks, "uniform").pvalue > 0.01
    assert np.mean(combined < 0.05) <= 0.09
    ranks, combined = _null_p_values(0.2)
    assert stats.kstest(ranks, "uniform").pvalue < 1e-6
    assert np.mean(combined < 0.05) > 0.3


def test_tpr_p_value_is_the_exact_law_of_the_count():
    """P(T >= t) from simulation of exchangeable scores; a plain binomial(n, 1%) is too small."""
    rng = np.random.default_rng(0)
    counts = np.array(
        [round(200 * statistics.tpr_at_fpr(rng.random(200), rng.random(300))) for _ in range(4000)]
    )
    nonmembers = np.arange(300.0)
    for count in (3, 5, 8):
        members = np.concatenate([np.full(count, 999.0), np.full(200 - count, -1.0)])
        found = statistics.tpr_p_value(members, nonmembers)
        simulated = np.mean(counts >= count)
        assert found == pytest.approx(simulated, abs=4 * np.sqrt(simulated / 4000))
        assert stats.binom(200, 0.01).sf(count - 1) < 0.8 * found


def _power(share: float, n: int, repeats: int = 400) -> float:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(repeats):
        members, nonmembers = rng.random(n), rng.random(n)
        members[rng.random(n) < share] = 2
        found += statistics.tpr_p_value(members, nonmembers) < 0.05
    return found / repeats


def test_minimum_detectable_share_is_found_four_times_in_five():
    share = statistics.minimum_detectable_tpr(500, 500)
    assert _power(share, 500) == pytest.approx(0.8, abs=0.08)
    assert _power(share / 3, 500) < 0.5
    assert statistics.minimum_detectable_tpr(2000, 2000) < 0.01 < share
    assert statistics.minimum_detectable_tpr(2, 2) == 1.0


def test_thinned_roc_stays_on_or_below_the_full_one():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(1, 1, 5000), rng.normal(0, 1, 5000)
    roc = statistics.roc_points(members, nonmembers)
    assert (roc["fpr"][-1], roc["tpr"][-1]) == (1, 1)
    assert np.all(np.diff(roc["fpr"]) >= 0) and np.all(np.diff(roc["tpr"]) >= 0)
    assert len(roc["fpr"]) <= 200
    for fpr, tpr in zip(roc["fpr"], roc["tpr"], strict=True):
        assert tpr <= statistics.tpr_at_fpr(members, nonmembers, fpr) + 1e-12


def test_holm_by_hand():
    adjusted = statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_permutation_p_value_counts_the_observed_one():
    draw = iter([1, 2, 3, 4]).__next__
    assert statistics.permutation_p_value(3.0, draw, most=4) == pytest.approx(3 / 5)
    assert statistics.permutation_p_value(9.0, lambda: 0.0, most=999) == pytest.approx(0.001)


def test_permutation_stops_early_where_the_observed_value_is_a_common_one():
    """And keeps its level there: of uniform values the p-value is uniform, or larger."""
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        found.append(statistics.permutation_p_value(rng.random(), rng.random, most=400, enough=20))
    for level in (0.02, 0.1, 0.5):
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level / 400)
    calls = iter(range(50))
    assert statistics.permutation_p_value(0.0, lambda: float(next(calls))) == 1.0
    assert next(calls, None) is None
