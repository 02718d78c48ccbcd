import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, cross_val_score

from synthdiff.config import Config
from synthdiff.data.schema import Column, Schema
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.estimator import TableDiffusion
from synthdiff.models.config import ModelConfig
from synthdiff.train.optim import TrainConfig

SCHEMA = Schema(
    (
        *(
            Column("patient", "entity", "int64"),
            Column("x", "continuous"),
            Column("y", "boolean", "bool"),
        ),
        Column("z", "continuous", "float64"),
    )
)


def _config(steps):
    model = ModelConfig(name="mlp", hidden=16, depth=1, width=4)
    train = TrainConfig(num_steps=steps, batch_size=64, steps_per_call=10, learning_rate=0.01,
                        warmup_steps=5, ema_decay=0.9)  # fmt: skip
    return Config(model=model, train=train, sampler=SamplerConfig(num_steps=4))


@pytest.fixture(scope="module")
def df():
    """Three columns that say the same: what they share is all that there is to learn."""
    x = np.random.default_rng(0).normal(size=240)
    return pd.DataFrame({"patient": np.arange(240) // 2, "x": x, "y": x > 0, "z": np.sign(x) * 5})


def test_parameters_are_set_read_and_cloned():
    model = TableDiffusion(schema=SCHEMA, config=_config(10), num_noises=2)
    assert model.get_params() == {
        "schema": SCHEMA, "config": _config(10), "seed": None, "num_noises": 2,
        "max_visits": None,
    }  # fmt: skip
    copy = clone(model).set_params(num_noises=3)
    assert copy.num_noises == 3 and model.num_noises == 2 and copy.config == model.config
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_more_training_scores_higher_on_other_patients(df):
    """Cross-validation by patient takes the estimator; twenty times the steps score higher."""
    folds = list(GroupKFold(2).split(df, groups=df["patient"]))[:1]
    model = TableDiffusion(schema=SCHEMA, config=_config(200), seed=1)
    short = clone(model).set_params(config=_config(10))
    (low,) = cross_val_score(short, df, cv=folds, error_score="raise")
    ((train, test),) = folds
    scores = model.fit(df.iloc[train]).score_samples(df.iloc[test])
    assert scores.shape == (len(test),) and model.score(df.iloc[test]) == scores.mean() > low + 0.1
    table = model.sample(30, seed=1)
    assert table.dtypes.to_dict() == df.dtypes.to_dict() and len(table) == 30


def test_the_package_stays_light():
    code = "import sys, synthdiff; print(sorted({'jax', 'sklearn', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
