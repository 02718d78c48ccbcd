"""The worked examples of ARCHITECTURE.md run, and what they add obeys the laws of its kind."""

import re
from pathlib import Path

import numpy as np
import pytest
import test_attacks
import test_samplers
import test_schedules

from synthdiff.data import sources
from synthdiff.data.conform import conform
from synthdiff.data.doctor import require_healthy
from synthdiff.diffusion import samplers, schedules
from synthdiff.eval import attacks

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
REGISTRIES = {
    "SHAPES": schedules,
    "SAMPLERS": samplers,
    "ATTACKS": attacks,
    "DATASETS": sources,
}


@pytest.fixture
def added(monkeypatch):
    """Runs the example that adds to a registry; its new entry is gone after the test."""

    def add(registry):
        module = REGISTRIES[registry]
        known = dict(getattr(module, registry))
        monkeypatch.setattr(module, registry, dict(known))
        [block] = [block for block in BLOCKS if f"\n{registry}[" in block]
        exec(compile(block, f"ARCHITECTURE.md, {registry}", "exec"), {"__name__": "example"})
        [name] = set(getattr(module, registry)) - set(known)
        return name

    return add


def test_there_are_four_short_examples():
    assert len(BLOCKS) == len(REGISTRIES)
    assert max(len(block.splitlines()) for block in BLOCKS) < 30


def test_schedule(added):
    schedule = schedules.Schedule(added("SHAPES"), -10.0, 6.0)
    test_schedules.test_ends_are_the_knobs(schedule)
    test_schedules.test_decreases_and_stays_finite(schedule)
    test_schedules.test_time_inverts_log_snr(schedule)
    test_schedules.test_rate_is_the_derivative(schedule)


def test_sampler(added):
    name = added("SAMPLERS")
    test_samplers.test_reaches_the_gaussian(name)
    test_samplers.test_reaches_the_joint_table(name)
    test_samplers.test_rows_do_not_depend_on_the_batch(name)


def test_attack(added, monkeypatch):
    name = added("ATTACKS")
    monkeypatch.setitem(test_attacks.ATTACKS, name, attacks.ATTACKS[name])
    monkeypatch.setitem(test_attacks.LAWS, name, 0.8)
    test_attacks.test_leaky_generator_is_found_up_to_its_closed_form(name)
    test_attacks.test_no_attack_finds_an_independent_sample(name)


def test_data_set(added):
    df, schema = sources.load(added("DATASETS"))
    require_healthy(df, schema)
    assert np.array_equal(conform(df, schema), df) and df.notna().all(axis=None)


def test_every_module_that_is_named_exists():
    names = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", TEXT))
    folders = (ROOT, ROOT / "synthdiff", ROOT / "synthdiff" / "eval", ROOT / "experiments")
    lost = [name for name in names if not any((folder / name).exists() for folder in folders)]
    # the one folder that exists in wheels only
    assert lost == ["synthdiff/experiments/"] and len(names) > 20
