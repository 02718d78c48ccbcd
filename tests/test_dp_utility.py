"""The table by epsilon: each model measured once, over stops too, and never two settings mixed."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from absl import flags

from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.schema import Column, Schema

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import dp_utility

FLAGS, SCRIPT, SCRIPT_MEASURE = flags.FLAGS, dp_utility, dp_utility.measure
pytestmark = pytest.mark.usefixtures("script_flags")


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What was measured, (epsilon, seed), in the place of trainings; the third call is killed."""
    table = pd.DataFrame({"id": np.arange(200), "age": np.arange(200) % 60})
    table.to_csv(tmp_path / "table.csv", index=False)
    FLAGS.data, FLAGS.entity = str(tmp_path / "table.csv"), "id"
    FLAGS.epsilons, FLAGS.seeds = ["1", "0"], ["0", "1"]
    found = []

    def measure(parts, schema, config, seed, start):
        if len(found) == 2 and None not in found:
            found.append(None)
            raise KeyboardInterrupt
        found.append((config.dp.epsilon, seed))
        return {"auc": 0.5 + 0.1 * seed + config.dp.epsilon, "size": 7.0, "seconds in all": 2.0}

    monkeypatch.setattr(dp_utility, "measure", measure)
    return found


def test_a_stopped_table_goes_on(tmp_path, calls):
    with pytest.raises(KeyboardInterrupt):
        dp_utility.compare(tmp_path / "run")
    dp_utility.compare(tmp_path / "run")
    assert calls == [(1.0, 0), (1.0, 1), None, (0.0, 0), (0.0, 1)]
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert [run["auc"] for run in record["runs"]["1"].values()] == pytest.approx([1.5, 1.6])
    page = (tmp_path / "run" / "record.md").read_text()
    assert "| score | 1 | 0 |" in page
    assert "| auc | 1.55 ± 0.071 | 0.55 ± 0.071 |" in page and "| size | 7 | 7 |" in page


def test_a_private_table_is_as_long_as_public_numbers_say(monkeypatch):
    """Rows of the training table beyond those of its patients change nothing."""
    columns = (Column("id", "entity"), Column("age", "integer"))

    def measure(rows, epsilon, schema):
        private = {"public": {"patients": 50}} if epsilon else None
        model = SimpleNamespace(privacy=private, config=Config(), visits=None)
        model.codec = SimpleNamespace(schema=schema)
        model.sample = lambda count, seed: pytest.fail(f"drew {count}")
        monkeypatch.setattr(dp_utility, "fit", lambda *args, **options: model)
        table = pd.DataFrame({"id": np.arange(rows) % 50, "age": 30})
        with pytest.raises(pytest.fail.Exception) as drawn:
            SCRIPT_MEASURE({"train": table}, schema, Config(), 0, None)
        return int(str(drawn.value).split()[-1])

    for rows in (120, 130):
        assert measure(rows, 1.0, Schema(columns)) == 200  # four of each at most
        assert measure(rows, 1.0, Schema(columns[1:])) == 50
        assert measure(rows, 0.0, Schema(columns)) == rows


def test_scores_of_other_settings_are_not_mixed_in(tmp_path, calls):
    with pytest.raises(KeyboardInterrupt):
        dp_utility.compare(tmp_path / "run")
    FLAGS["model.width"].value = 8
    with pytest.raises(InputError, match=r"another table or settings.*--run_dir"):
        dp_utility.compare(tmp_path / "run")
    FLAGS["model.width"].unparse()
