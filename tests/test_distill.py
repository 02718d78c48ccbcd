"""Students: they say in one step what hangs together, and see drawn records alone."""

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

import synthdiff
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.distill import distill
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig

SIGNS = [f"sign{i}" for i in range(6)]
CONFIG = Config(
    ModelConfig(width=8, max_width=32, bottom_depth=1),
    train=TrainConfig(num_steps=300, batch_size=128, steps_per_call=100, ema_decay=0.9),
    sampler=SamplerConfig(num_steps=12),
)
FEW = SamplerConfig(num_steps=2)
STUDENT = replace(CONFIG, model=replace(CONFIG.model, components=4), sampler=FEW)
SHORT = replace(
    STUDENT,
    model=ModelConfig("mlp", width=4, hidden=16),
    train=replace(CONFIG.train, num_steps=4, steps_per_call=2),
)


@pytest.fixture(scope="module")
def teacher():
    """Of six signs that every patient has all or none of, and an age."""
    rng = np.random.default_rng(0)
    sick = np.where(rng.random(500) < 0.5, "yes", "no")
    table = pd.DataFrame(dict.fromkeys(SIGNS, sick) | {"age": rng.integers(20, 90, 500)})
    return synthdiff.fit(table, config=CONFIG, progress=False)


def share_alike(table):
    """Of the rows, those whose signs are all the same."""
    return float((table[SIGNS].nunique(axis=1) == 1).mean())


def test_a_student_of_several_guesses_keeps_together_in_two_steps_what_its_teacher_tears(teacher):
    assert share_alike(teacher.sample(1000)) > 0.85
    assert share_alike(teacher.sample(1000, sampler=FEW)) < 0.6
    student = distill(teacher, num_records=2000, config=STUDENT, progress=False)
    table = student.sample(1000)
    assert student.config.sampler.nfe == 2
    assert share_alike(table) > 0.85
    assert 0.4 < (table["sign0"] == "yes").mean() < 0.6


def test_a_student_resumes_and_another_teacher_is_refused(teacher, tmp_path):
    options = {"num_records": 100, "progress": False}
    whole = distill(teacher, config=SHORT, **options)
    first = distill(teacher, config=SHORT, folder=tmp_path, **options)
    again = distill(teacher, config=SHORT, folder=tmp_path, **options)
    loaded = synthdiff.load(tmp_path)
    for other in (first, again, loaded):
        assert other.config == whole.config
        jax.tree.map(np.testing.assert_array_equal, other.params, whole.params)
    pd.testing.assert_frame_equal(loaded.sample(5), whole.sample(5))
    other = replace(teacher, params=jax.tree.map(lambda x: x + 1, teacher.params))
    with pytest.raises(InputError, match="another table or settings"):
        distill(other, config=SHORT, folder=tmp_path, **options)


def test_a_private_teacher_is_refused(teacher):
    private = replace(teacher, privacy={"epsilon": 3.0})
    with pytest.raises(InputError, match=r"differential privacy.*Fix: draw from it itself"):
        distill(private, num_records=10, config=SHORT, progress=False)
