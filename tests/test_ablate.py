"""Arms of an ablation: every combination of a grid, some of them at random, and going on."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import flags
from absl.testing import flagsaver

from synthdiff._validate import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import ablate
from _config import build_config
from _record import open_record
from _results import write_record
from _sweep_plots import OF_ARMS

GRID = ["model.width=8,16", "sampler.name=ddim,heun,churn"]
FLAGS, SCRIPT = flags.FLAGS, ablate
pytestmark = pytest.mark.usefixtures("script_flags")


@pytest.fixture(autouse=True)
def chosen():
    FLAGS.arm, FLAGS.grid, FLAGS.random = ["default:"], GRID, None


def test_every_combination_is_an_arm_after_the_named_ones():
    arms = ablate.list_arms()
    assert len(arms) == 1 + 2 * 3 == len(set(arms)) and arms[0] == "default:"
    assert arms[1] == "model.width=8 sampler.name=ddim: --model.width=8 --sampler.name=ddim"
    config = ablate.read_arm(arms[-1], 3)
    found = config.model.width, config.sampler.name, config.train.seed
    assert found == (16, "churn", 3)
    FLAGS.grid = []
    assert ablate.list_arms() == ["default:"]


def test_an_arm_is_written_as_on_the_command_line():
    assert ablate.read_arm("warped: --schedule.learnable", 0).schedule.learnable
    assert not ablate.read_arm("not: --noschedule.learnable", 0).schedule.learnable
    assert not ablate.read_arm("default:", 0).schedule.learnable
    with pytest.raises(InputError, match="is no flag"):
        ablate.read_arm("bare: model.width=8", 0)


def test_random_arms_are_of_the_grid_and_stay_as_more_are_drawn():
    FLAGS.arm, every = [], set(ablate.list_arms()) - {"default:"}
    drawn = []
    for FLAGS.random in (2, 5, 9):
        drawn.append(ablate.list_arms())
        assert len(set(drawn[-1])) == len(drawn[-1]) and set(drawn[-1]) <= every
    assert [len(arms) for arms in drawn] == [2, 5, 6]
    assert drawn[1][:2] == drawn[0] and drawn[2][:5] == drawn[1]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("depth=1", "flag .depth.. Fix: give another flag"),
        ("model.width", "give another flag or value"),
        ("model.width=8,wide", "give another flag or value"),
        ("train.num_steps=10,0", "num_steps"),
    ],
)
def test_a_mistake_in_any_point_ends_before_the_first_training(grid, message):
    FLAGS.grid = [grid]
    with pytest.raises(InputError, match=message):
        ablate.list_arms()


def test_a_stopped_grid_goes_on(tmp_path, monkeypatch):
    table = pd.DataFrame({"id": np.arange(200), "age": np.arange(200) % 60})
    table.to_csv(tmp_path / "table.csv", index=False)
    FLAGS.data, FLAGS.entity, FLAGS.seeds = str(tmp_path / "table.csv"), "id", ["0", "1"]
    calls, most = [], 3

    def score(config, parts, schema, seed, num_rows):
        if len(calls) == most:
            raise KeyboardInterrupt
        calls.append((config.model.width, config.sampler.name, seed))
        return None, None, {name: float(config.model.width + seed) for name in OF_ARMS}

    monkeypatch.setattr(ablate, "fit_timed", lambda config, table, schema: (config, {}))
    monkeypatch.setattr(ablate, "score_model", score)
    FLAGS.arm = []
    with pytest.raises(KeyboardInterrupt):
        ablate.ablate(tmp_path)
    most = 100
    ablate.ablate(tmp_path)
    assert len(calls) == len(set(calls)) == 2 * 3 * 2  # each once, those before the stop too
    runs = json.loads((tmp_path / "record.json").read_text())["runs"]
    assert runs["model.width=16 sampler.name=heun"]["1"]["held-out loss"] == 17.0
    assert "| model.width=8 sampler.name=churn [2] | 8.5 " in (tmp_path / "record.md").read_text()
    assert (tmp_path / "record.png").exists()


def test_rows_that_are_visits_are_patients_in_every_arm(tmp_path, monkeypatch):
    """Losses are means over patients, whose long tables are scored; --max_visits cuts."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, 120)
    table = pd.DataFrame(
        {"id": np.repeat(np.arange(120), counts), "age": rng.integers(0, 60, counts.sum())}
    )
    table.assign(day=np.arange(len(table))).to_csv(tmp_path / "table.csv", index=False)
    seen, score = [], ablate.score_model

    def keep(model, parts, *rest):
        table, nats, scores = score(model, parts, *rest)
        seen.append((model, parts["test"], table, nats["test"], scores["held-out loss"]))
        return table, nats, scores

    monkeypatch.setattr(ablate, "score_model", keep)
    few = {"data": str(tmp_path / "table.csv"), "entity": "id", "visits": "day", "max_visits": 2}
    few |= {"arm": ["default:"], "grid": [], "seeds": ["0"], "num_rows": 60, "model.name": "mlp"}
    few |= {"model.width": 4, "train.num_steps": 5, "sampler.num_steps": 2}
    with flagsaver.flagsaver(**few):
        ablate.ablate(tmp_path)
    ((model, test, table, nats, loss),) = seen
    assert model.visits.max_visits == 2 and "age@2" in model.codec.schema.names
    assert table.groupby("id").size().isin([1, 2]).all() and table["id"].nunique() == 60
    assert loss == pytest.approx(pd.Series(nats).groupby(test["id"].to_numpy()).first().mean())


def test_scores_of_other_settings_are_not_gone_on_with(tmp_path):
    """More seeds and arms go on; another table, setting or arm of the same name is refused."""
    df = pd.DataFrame({"age": [1, 2, 3]})
    FLAGS.record = str(tmp_path / "record.json")

    def begin(table=df, arms=("wide: --model.width=64",), **facts):
        facts |= {"config": build_config().to_json()}
        path, record = open_record(tmp_path, table, arms, **facts)
        write_record(path, record, "# Arms")
        return record

    begin(cohort="a=1")["runs"]["wide"] = {"0": {"loss": 1.0}}
    more = begin(arms=("wide: --model.width=64", "default:"), cohort="a=1")
    assert set(more["arms"]) == {"wide", "default"}
    for change in (
        {"table": df + 1, "cohort": "a=1"},
        {"arms": ("wide: --model.width=32",), "cohort": "a=1"},
        {"cohort": "a=2"},
    ):
        with pytest.raises(InputError, match=r"another table or settings.*--run_dir"):
            begin(**change)
    FLAGS["model.depth"].value = 3
    with pytest.raises(InputError, match="'config' differs"):
        begin(cohort="a=1")


def test_a_record_may_go_into_a_new_folder(tmp_path):
    """What took hours to measure is not lost because nobody made its folder."""
    FLAGS.record = str(tmp_path / "new" / "folder" / "record.json")
    write_record(tmp_path / "record.json", {"rows": 3}, "# Rows")
    FLAGS.record = None
    assert json.loads((tmp_path / "new" / "folder" / "record.json").read_text()) == {"rows": 3}
    assert (tmp_path / "new" / "folder" / "record.md").read_text() == "# Rows"
