import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold

from synthdiff.config import Config
from synthdiff.data.schema import Column, Schema
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.estimator import TableDiffusion
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig

SCHEMA = Schema((Column("patient", "entity"), Column("x", "continuous"), Column("y", "boolean")))


def _config(steps):
    model = ModelConfig(name="mlp", hidden=16, depth=1, width=4)
    train = TrainConfig(num_steps=steps, batch_size=64, steps_per_call=10, learning_rate=0.01,
                        warmup_steps=5, ema_decay=0.9)  # fmt: skip
    return Config(model=model, train=train, sampler=SamplerConfig(num_steps=4))


@pytest.fixture(scope="module")
def df():
    rng = np.random.default_rng(0)
    y = rng.random(240) < 0.9
    return pd.DataFrame(
        {"patient": np.repeat(np.arange(120), 2), "x": rng.normal(size=240) + 3 * y, "y": y}
    )


def test_parameters_are_set_read_and_cloned():
    model = TableDiffusion(schema=SCHEMA, config=_config(10), num_noises=2)
    assert model.get_params() == {
        "schema": SCHEMA, "config": _config(10), "seed": None, "num_noises": 2,
    }  # fmt: skip
    copy = clone(model).set_params(num_noises=3)
    assert copy.num_noises == 3 and model.num_noises == 2 and copy.config == model.config
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_search_prefers_the_trained_model(df):
    """A fold by patient; twenty times the steps score higher; the best is refitted and samples."""
    model = TableDiffusion(schema=SCHEMA, seed=1)
    grid = {"config": [_config(10), _config(200)]}
    folds = list(GroupKFold(2).split(df, groups=df["patient"]))[:1]
    search = GridSearchCV(model, grid, cv=folds).fit(df)
    assert search.best_params_["config"] == _config(200)
    low, high = search.cv_results_["mean_test_score"]
    assert high > low + 0.1
    best = search.best_estimator_
    table = best.sample(30, seed=1)
    assert list(table.columns) == list(df.columns) and len(table) == 30
    scores = best.score_samples(df)
    assert scores.shape == (240,) and best.score(df) == pytest.approx(scores.mean())


def test_the_package_stays_light():
    code = "import sys, synthdiff; print(sorted({'jax', 'sklearn', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
