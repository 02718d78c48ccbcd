"""The canary audit as a script: claim, bound, and what the same audit makes of less noise."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from synthdiff._validate import InputError
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import validate_dp

pytestmark = pytest.mark.skipif(
    not (find_spec("dp_accounting") and find_spec("jax_privacy")),
    reason="needs the extra dp: pip install 'synthdiff[dp]'",
)
DP = DpConfig(epsilon=4.0, codec_share=0.3, tree_share=0.0)
TRAIN = TrainConfig(num_steps=20, batch_size=400)
SECRET = 0x1234567890ABCDEF


def test_bound_is_below_the_claim_and_near_that_of_an_ideal_mechanism():
    found = validate_dp.audit_gradients(DP, TRAIN, 1000, 4000, SECRET)
    assert not found["contradicted"] and 2.5 < found["epsilon of the gradients"] < 4
    ideal = found["bound if all is as claimed"]
    assert 0.5 < ideal < found["epsilon of the gradients"]
    assert found["lower bound"] == pytest.approx(ideal, abs=0.6)
    assert found["bound at a third of the noise"] > 2 * ideal


def test_a_tenth_of_the_noise_contradicts_the_claim(monkeypatch):
    run = validate_dp.run_canaries
    monkeypatch.setattr(
        validate_dp,
        "run_canaries",
        lambda dp, plan, *rest: run(dp, replace(plan, sigma=plan.sigma / 10), *rest),
    )
    assert validate_dp.audit_gradients(DP, TRAIN, 1000, 4000, SECRET)["contradicted"]


def test_a_run_without_gradients_is_refused():
    with pytest.raises(InputError, match="leaves no budget for gradients"):
        validate_dp.audit_gradients(DpConfig(epsilon=1.0), TRAIN, 1000, 100, SECRET)


def test_simulated_traces_have_the_mean_and_spread_of_the_plan():
    plan = validate_dp.plan_privacy(DP, TRAIN, 1000, 1).gradients
    included = np.arange(2000) < 1000
    traces = validate_dp.simulate_traces(plan, included, 1.0, np.random.default_rng(0))
    steps = np.diff(traces, axis=0, prepend=0.0) * plan.expected_batch / plan.clip_norm
    assert steps[:, 1000:].std() == pytest.approx(plan.sigma, rel=0.02)
    assert steps[:, :1000].mean() == pytest.approx(plan.rate, abs=0.06)
