"""A cohort among other patients: nobody is on both sides, and the record tells the arms apart."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import flags

from synthdiff._validate import InputError
from synthdiff.data.infer import infer_schema

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import pretraining
from _cohort import part_cohort
from _sweep import score_model

FLAGS, SCRIPT = flags.FLAGS, pretraining
pytestmark = pytest.mark.usefixtures("script_flags")


def make_table():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(800), 2)
    sick = rng.random(1600) < 0.5
    return pd.DataFrame(
        {
            "patient": patient,
            "clinic": np.where(patient % 4, "north", rng.choice(["north", "south"], 1600)),
            "ward": np.where(sick, "A", "B"),
            "drug": np.where(sick, "x", "y"),
            "died": rng.random(1600) < np.where(sick, 0.8, 0.2),
        }
    )


TABLE = make_table()
SCHEMA = infer_schema(TABLE, entity="patient", target="died", sensitive=["clinic"])


def test_a_patient_with_one_row_of_the_value_is_of_the_cohort_with_all_rows():
    cohort, others, schema = part_cohort(TABLE, SCHEMA, "clinic=south")
    assert not set(cohort["patient"]) & set(others["patient"])
    assert len(cohort) + len(others) == len(TABLE)
    south = set(TABLE.loc[TABLE["clinic"] == "south", "patient"])
    assert set(cohort["patient"]) == south and len(cohort) == 2 * len(south)
    assert "clinic" not in schema.names and schema.sensitive == ()
    assert list(cohort.columns) == list(others.columns) == list(schema.names)


@pytest.mark.parametrize(
    ("cohort", "message"),
    [("nowhere=south", "no such column"), ("clinic=west", "use one of north, south")],
)
def test_a_cohort_of_nobody_is_refused(cohort, message):
    with pytest.raises(InputError, match=message):
        part_cohort(TABLE, SCHEMA, cohort)


def test_the_record_has_every_arm_and_what_pretraining_brings(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "score_fully", lambda *given: score_model(*given)[-1])
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    given = {"data": str(tmp_path / "table.csv"), "entity": "patient", "target": "died",
             "cohort": "clinic=south", "patients": ["30"], "seeds": ["0"], "num_rows": 512,
             "alone": "--train.num_steps=3", "pretrained": "--train.num_steps=3",
             "model.name": "mlp", "model.width": 8, "model.hidden": 32, "sampler.num_steps": 4,
             "train.num_steps": 150, "train.batch_size": 64, "train.ema_decay": 0.9}  # fmt: skip
    for name, value in given.items():
        FLAGS[name].value = value
    pretraining.compare(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert set(record["runs"]) == {"first model", "alone, 30", "pretrained, 30"}
    found = {name: runs["0"]["detection AUC"] for name, runs in record["runs"].items()}
    assert found["pretrained, 30"] < 0.7 < found["alone, 30"]
    text = (tmp_path / "run" / "record.md").read_text()
    assert "| detection AUC |" in text and "pretrained, 30" in text
    assert (tmp_path / "run" / "record.png").exists()
