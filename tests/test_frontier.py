"""The frontier: each point scored once, over stops too, by its own settings."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import frontier

FLAGS, SCRIPT = flags.FLAGS, frontier
pytestmark = pytest.mark.usefixtures("script_flags")


def make_table():
    rng = np.random.default_rng(0)
    sex = rng.choice(["F", "M"], 400)
    return pd.DataFrame(
        {
            "patient": np.repeat(np.arange(200), 2),
            "age": rng.integers(18, 90, 400),
            "sex": sex,
            "died": rng.random(400) < np.where(sex == "F", 0.2, 0.6),
        }
    )


def test_every_point_is_scored_once_and_a_stopped_sweep_goes_on(tmp_path, capsys):
    make_table().to_csv(tmp_path / "table.csv", index=False)
    given = {"data": str(tmp_path / "table.csv"), "entity": "patient", "target": "died",
             "seeds": ["0"], "num_rows": 200, "sweep": ["patients=60"], "sampler.num_steps": 4,
             "model.name": "mlp", "model.width": 4, "model.hidden": 32, "model.depth": 1,
             "train.num_steps": 20, "train.batch_size": 64}  # fmt: skip
    for name, value in given.items():
        FLAGS[name].value = value
    frontier.sweep(tmp_path / "run")
    path = tmp_path / "run" / "record.json"
    before = json.loads(path.read_text())["runs"]
    FLAGS.sweep = ["patients=60", "train.num_steps=400"]
    capsys.readouterr()
    frontier.sweep(tmp_path / "run")
    assert "patients=60 seed" not in capsys.readouterr().out
    after = json.loads(path.read_text())["runs"]
    assert list(after) == ["default", "patients=60", "train.num_steps=400"]
    assert all(after[point] == before[point] for point in before)
    losses = {point: runs["0"]["training loss"] for point, runs in after.items()}
    assert losses["train.num_steps=400"] < losses["default"]  # the arm's flag was in force
    scores = after["default"]["0"]
    gap = scores["held-out loss"] - scores["training loss"]
    assert scores["loss gap"] == pytest.approx(gap, abs=1e-4)
    assert scores["auroc gap, points"] == pytest.approx(
        100 * (scores["utility trtr auroc"] - scores["utility tstr auroc"])
    )
    assert path.with_suffix(".png").exists()
    assert "loss gap" in path.with_suffix(".md").read_text()
