import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import KernelDensity

from synthdiff.eval import statistics
from synthdiff.eval.attacks import ATTACKS, View, distance, neighbourhood, subtract_baseline
from synthdiff.eval.densities import log_density_sum, log_influence

N = 1000  # the weakest attack (plagiarism index) then expects z = 4.9 on a copied table


def _draw(rng, rows, discrete=False):
    values = rng.normal(size=(rows, 4)).astype(np.float32)
    return (
        np.eye(3, dtype=np.float32)[np.digitize(values, [-0.5, 0.5])].reshape(rows, -1)
        if (discrete)
        else values
    )


def _leak(rng, train, rows, share, discrete=False):
    """Each row is a copy of a random training row with probability `share`, else a fresh draw."""
    copied = train[rng.integers(len(train), size=rows)]
    return np.where(rng.random((rows, 1)) < share, copied, _draw(rng, rows, discrete))


def _view(share, seed=0, discrete=False):
    """The members first. Each synthetic row is a copy of a member's with probability `share`."""
    rng = np.random.default_rng(seed)
    train, others, reference = (_draw(rng, N, discrete) for _ in range(3))
    synthetic = train if share == 1 else _leak(rng, train, N, share, discrete)
    return View(np.concatenate([train, others]), synthetic, reference)


def _scores(attack, share, seed=0, discrete=False):
    scores = attack(_view(share, seed, discrete))
    assert scores.shape == (2 * N,) and np.isfinite(scores).all()
    return scores[:N], scores[N:]


def _null_error():
    return np.sqrt((2 * N + 1) / (12 * N * N))


# The least part of the exposure of a leaky generator, as the excess of its AUC over 0.5, that each
# attack must find where half the rows are copies. Closeness sees copies, a density sees a crowd.
LAWS = {
    "distance": 0.9,
    "calibrated_distance": 0.8,
    "neighbourhood": 0.2,
    "density_ratio": 0.2,
    "likelihood_influence": 0.2,
    "data_plagiarism_index": 0.1,
    "classifier": 0.15,
}


def test_every_attack_is_under_the_laws():
    assert LAWS.keys() == ATTACKS.keys()


@pytest.mark.parametrize("name", ATTACKS)
def test_leaky_generator_is_found_up_to_its_closed_form(name):
    """q of the members are copied. No attack can beat AUC 0.5 + q/2: the others are like strangers.

    Copying half of the time from N rows into N rows exposes q = 1 - (1 - 1/2N)^N.
    """
    q = 1 - (1 - 0.5 / N) ** N
    excess = statistics.auc(*_scores(ATTACKS[name], 0.5)) - 0.5
    assert LAWS[name] * q / 2 <= excess <= q / 2 + 3.5 * _null_error()


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_finds_an_independent_sample(name):
    assert abs(statistics.auc(*_scores(ATTACKS[name], 0)) - 0.5) < 3.5 * _null_error()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_monotone_transform_of_the_scores_changes_no_result(name):
    members, others = _scores(ATTACKS[name], 0.5)
    ranks = stats.rankdata(np.concatenate([members, others]))
    before, after = (
        (statistics.auc(a, b), statistics.tpr_at_fpr(a, b), statistics.membership_p_value(a, b))
        for a, b in ((members, others), (np.exp(ranks[:N] / N), np.exp(ranks[N:] / N)))
    )
    assert before == after


@pytest.mark.parametrize(
    "name", ["neighbourhood", "density_ratio", "likelihood_influence", "classifier"]
)
def test_copy_of_a_table_with_few_distinct_rows_is_found(name):
    """All 81 rows occur everywhere, so closeness says nothing; their frequencies do."""
    assert statistics.rank_p_value(*_scores(ATTACKS[name], 1, discrete=True)) < 1e-3
    assert statistics.auc(*_scores(distance, 1, discrete=True)) < 0.52


@pytest.mark.parametrize("name", ATTACKS)
def test_with_the_labels_shuffled_a_leak_is_gone(name):
    scores = np.concatenate(_scores(ATTACKS[name], 1))
    assert statistics.rank_p_value(scores[:N], scores[N:]) < 1e-3
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        rng.shuffle(scores)
        found.append(statistics.rank_p_value(scores[:N], scores[N:]))
    assert stats.kstest(found, stats.uniform.cdf).pvalue > 0.001


def test_ties_do_not_favour_members():
    for name, attack in ATTACKS.items():
        found = statistics.auc(*_scores(attack, 0, discrete=True))
        assert abs(found - 0.5) < 3.5 * _null_error(), name


LEAKS = [
    (0.1, 1000, 1000),
    (0.01, 2000, 4000),
    (1.0, 1000, 1000),
    (1.0, 1000, 3000),
    (0.0, 500, 500),
]


@pytest.mark.parametrize(("share", "n", "m"), LEAKS)
def test_calibrated_leak_has_its_closed_form(share, n, m):
    """q = 1 - (1 - p/n)^m of the members are copied: TPR at 0 FPR is q, AUC is 0.5 + q/2."""
    rng = np.random.default_rng(1)
    q = 1 - (1 - share / n) ** m
    train, others = _draw(rng, n), _draw(rng, n)
    synthetic = _leak(rng, train, m, share)
    members, nonmembers = (distance(View(side, synthetic, others)) for side in (train, others))
    assert statistics.tpr_at_fpr(members, nonmembers, 0.0) == pytest.approx(
        q, abs=4 * np.sqrt(q * (1 - q) / n) + 0.003
    )
    assert statistics.auc(members, nonmembers) == pytest.approx(0.5 + q / 2, abs=0.05)


def test_p_values_of_an_attack_are_uniform_without_a_leak_only():
    def p_values(share):
        found = []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            train, others = _draw(rng, 200), _draw(rng, 200)
            synthetic = _leak(rng, train, 200, share)
            sides = (distance(View(side, synthetic, others)) for side in (train, others))
            found.append(statistics.rank_p_value(*sides))
        return stats.kstest(found, "uniform").pvalue

    assert p_values(0.0) > 0.01
    assert p_values(0.3) < 1e-6


def test_distances_are_searched_once_and_the_baseline_is_the_reference():
    view = _view(0.5)
    assert view.synthetic_nearest is view.synthetic_nearest
    np.testing.assert_array_equal(distance(view.baseline), -view.reference_gap)
    other = view.replace_synthetic(view.reference[:10])
    assert other.reference_gap is view.reference_gap
    assert (other.synthetic_gap >= view.reference_gap - 1e-6).all()


def test_density_ratio_is_the_true_ratio_for_gaussians():
    """log N(x; 1, 1) - log N(x; 0, 1) = x - 1/2, smoothed by the kernel."""
    rng = np.random.default_rng(0)
    targets = np.linspace(-1, 2, 50)[:, None].astype(np.float32)
    synthetic = rng.normal(1, 1, (5000, 1)).astype(np.float32)
    reference = rng.normal(0, 1, (5000, 1)).astype(np.float32)
    found = ATTACKS["density_ratio"](View(targets, synthetic, reference))
    slope, intercept = np.polyfit(targets[:, 0], found, 1)
    assert slope == pytest.approx(1, abs=0.12)
    assert intercept == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("attack", [distance, neighbourhood])
def test_subtracting_the_baseline_keeps_the_level_and_the_power(attack):
    def p_values(share):
        found = []
        for seed in range(100):
            rng = np.random.default_rng(seed)
            train, others, reference = _draw(rng, 150), _draw(rng, 150), _draw(rng, 1500)
            synthetic = _leak(rng, train, 1500, share)
            view = View(np.concatenate([train, others]), synthetic, reference)
            raw = attack(view)
            adjusted = subtract_baseline(raw, attack(view.baseline))
            found.append([statistics.rank_p_value(s[:150], s[150:]) for s in (raw, adjusted)])
        return np.array(found)

    assert np.mean(p_values(0.0)[:, 1] < 0.05) <= 0.12
    plain, adjusted = np.mean(p_values(0.03) < 0.05, axis=0)
    assert adjusted > plain - 0.05


def test_subtracting_the_baseline_takes_most_of_a_difference_in_density():
    rng = np.random.default_rng(0)
    members, others, synthetic, reference = (_draw(rng, N) for _ in range(4))
    view = View(np.concatenate([0.9 * members, others]), synthetic, reference)
    raw = distance(view)
    adjusted = subtract_baseline(raw, distance(view.baseline))
    excess = [statistics.auc(scores[:N], scores[N:]) - 0.5 for scores in (raw, adjusted)]
    assert excess[0] > 0.03
    assert excess[1] < 0.7 * excess[0]


def test_influence_is_that_of_refitting_the_density_for_every_target():
    rng = np.random.default_rng(0)
    targets, sampled, known = (rng.normal(size=(n, 3)).astype(np.float32) for n in (20, 60, 40))
    sampled[0] = 9  # far from every reference row: the density there is all but 0
    targets[0] = 9
    before = KernelDensity(bandwidth=0.5).fit(known).score_samples(sampled)
    for target, found in zip(targets, log_influence(targets, sampled, known, 0.5), strict=True):
        refitted = KernelDensity(bandwidth=0.5).fit(np.vstack([known, target]))
        expected = np.sum(refitted.score_samples(sampled) - before)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_density_sums_are_those_of_a_kernel_density():
    rng = np.random.default_rng(0)
    points, base = rng.normal(size=(50, 3)), rng.normal(size=(700, 3))
    expected = KernelDensity(bandwidth=0.4).fit(base).score_samples(points)
    constant = 1.5 * np.log(2 * np.pi * 0.4**2) + np.log(len(base))
    found = log_density_sum(points, base, 0.4) - constant
    np.testing.assert_allclose(found, expected, atol=1e-4)
