"""The canary audit as a script: claim, bound, and what the same audit makes of less noise."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from synthdiff import private_run
from synthdiff.data import private
from synthdiff.train.dp import DpConfig, plan_privacy
from synthdiff.train.optim import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import _canaries
import _table_canaries
import validate_dp
from _claims import make_claim

pytestmark = pytest.mark.skipif(
    not (find_spec("dp_accounting") and find_spec("jax_privacy")),
    reason="needs the extra dp: pip install 'synthdiff[dp]'",
)
DP = DpConfig(epsilon=4.0, codec_share=0.3, tree_share=0.0)
TRAIN = TrainConfig(num_steps=20, batch_size=400)
SECRET = 0x1234567890ABCDEF


def plan_gradients():
    return plan_privacy(DP, TRAIN, 1000, 1).gradients


def audit_gradients():
    return _canaries.audit_gradients(DP, plan_gradients(), 4000, 0.05, SECRET)


def test_bound_is_below_the_claim_and_near_that_of_an_ideal_mechanism():
    found = audit_gradients()
    assert not found["contradicted"] and 2.5 < found["claimed epsilon"] < 4
    ideal = found["bound if all is as claimed"]
    assert 0.5 < ideal < found["claimed epsilon"]
    assert found["lower bound"] == pytest.approx(ideal, abs=0.6)
    assert found["bound at a third of the noise"] > 2 * ideal


def test_a_tenth_of_the_noise_contradicts_the_claim(monkeypatch):
    run = _canaries.run_canaries
    monkeypatch.setattr(
        _canaries,
        "run_canaries",
        lambda dp, plan, *rest: run(dp, replace(plan, sigma=plan.sigma / 10), *rest),
    )
    assert audit_gradients()["contradicted"]


def test_simulated_traces_have_the_mean_and_spread_of_the_plan():
    plan = plan_gradients()
    included = np.arange(2000) < 1000
    traces = _canaries.simulate_traces(plan, included, 1.0, np.random.default_rng(0))
    steps = np.diff(traces, axis=0, prepend=0.0) * plan.expected_batch / plan.clip_norm
    assert steps[:, 1000:].std() == pytest.approx(plan.sigma, rel=0.02)
    assert steps[:, :1000].mean() == pytest.approx(plan.rate, abs=0.06)


# ---- histograms and pair tables, by the function that a private fit calls

TABLES = DpConfig(epsilon=10.0)  # the default shares: nothing is left for gradients


@pytest.fixture(autouse=True)
def small_crowd(monkeypatch):
    monkeypatch.setattr(_table_canaries, "CROWD", 40)  # enough for so little noise, and quick


def audit_tables(releases=100):
    claim = make_claim(TABLES, TRAIN, 1000)
    rows = validate_dp.audit_run(claim, (releases, 100), 0.05, SECRET)
    return {row["release"]: row for row in rows}


def test_the_default_mode_has_a_bound_for_each_release_and_for_all():
    found = audit_tables(300)
    assert list(found) == ["histograms", "scores of pairs", "tables of pairs", "all of these"]
    whole = found["all of these"]
    assert whole["claimed epsilon"] == pytest.approx(10.0, abs=0.01)
    assert not any(row["contradicted"] for row in found.values())
    for name in ("lower bound", "bound if all is as claimed"):
        assert 6.0 < whole[name] < 10.0  # near the claim, from 300 releases
    assert whole["bound at a third of the noise"] > 15.0


def test_the_canary_moves_each_release_by_the_claimed_sensitivity(monkeypatch):
    moves = []
    monkeypatch.setattr(
        _table_canaries,
        "weigh",
        lambda excess, moved, noise: moves.append(np.linalg.norm(moved) / noise) or 0.0,
    )
    plan = plan_privacy(TABLES, TRAIN, 1000, 1)
    coins = np.array([True, False])
    _table_canaries.run_trials(TABLES, plan, coins, np.random.default_rng(0))
    expected = 2 * [1 / plan.codec_sigma, 1 / plan.tree_sigma, 1 / plan.tree_sigma]
    np.testing.assert_allclose(moves, expected)


def forget_the_cap(monkeypatch):
    monkeypatch.setattr(private_run, "cap_rows", lambda df, patients, most, rng: (df, patients))


def forget_the_weight(place, at):
    """A row weighs 1, not 1 / max_rows. at: where max_rows is among the arguments."""

    def change(monkeypatch):
        run = getattr(private_run, place)
        monkeypatch.setattr(private_run, place, lambda *args: run(*args[:at], 1, *args[at + 1 :]))

    return change


def underrate_the_sensitivity(monkeypatch):
    measure = private.measure_sensitivity
    monkeypatch.setattr(private, "measure_sensitivity", lambda grids: measure(grids) / 3)


def noise_a_third(monkeypatch):
    run = private_run.release_pairs
    monkeypatch.setattr(
        private_run, "release_pairs", lambda *args: run(*args[:4], args[4] / 3, *args[5:])
    )


class Muted:
    """A generator of which some calls give no noise."""

    def __init__(self, calls):
        self.calls, self.rng, self.made = calls, np.random.default_rng(0), -1

    def normal(self, mean, spread, size):
        self.made += 1
        return self.rng.normal(mean, spread * (self.made not in self.calls), size)


def mute(purpose, calls):
    make = private_run._make_rng

    def change(monkeypatch):
        monkeypatch.setattr(
            private_run,
            "_make_rng",
            lambda secret, use: Muted(calls) if use == purpose else make(secret, use),
        )

    return change


FAULTS = {
    "rows not limited": (forget_the_cap, "all of these"),
    "weight forgotten in histograms": (forget_the_weight("fit_private_codec", 2), "histograms"),
    "weight forgotten in pairs": (forget_the_weight("release_pairs", 3), "tables of pairs"),
    "sensitivity too small": (underrate_the_sensitivity, "histograms"),
    "a third of the noise on pairs": (noise_a_third, "scores of pairs"),
    "no noise on histograms": (mute(private_run.CODEC, range(99)), "histograms"),
    "no noise on scores": (mute(private_run.TREE, [0]), "scores of pairs"),
    "no noise on tables": (mute(private_run.TREE, range(1, 99)), "tables of pairs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_releases_contradict_their_claim(fault, monkeypatch):
    change, release = FAULTS[fault]
    change(monkeypatch)
    found = audit_tables()
    assert found[release]["contradicted"], found
