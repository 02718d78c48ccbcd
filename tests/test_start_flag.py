"""train.py --start: another run's model is where training begins, and the run says so."""

import json
import sys
from pathlib import Path

import pytest
from absl import flags
from test_warm_start import FEW, MANY, make_table

from synthdiff._validate import InputError
from synthdiff.data.schema import Schema
from synthdiff.eval.card import list_untested
from synthdiff.eval.policy import judge_start
from synthdiff.eval.report.provenance import write_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import pipeline
import train
from _start import read_start

FLAGS, SCRIPT = flags.FLAGS, pipeline
pytestmark = pytest.mark.usefixtures("script_flags")


@pytest.fixture
def tables(tmp_path):
    """The flags of a tiny training on one table; another lies beside it."""
    for name, table in (("many", MANY), ("few", FEW)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    given = {"data": str(tmp_path / "many.csv"), "entity": "patient", "model.name": "mlp",
             "model.width": 8, "model.hidden": 32, "train.num_steps": 3, "split_seed": 0,
             "start": None, "dp.epsilon": 0.0}  # fmt: skip
    for name, value in given.items():
        FLAGS[name].value = value
    return tmp_path


def test_a_run_begins_at_another_of_other_patients_and_says_whom_its_audit_leaves_out(tables):
    train.train(tables / "first")
    FLAGS.data, FLAGS.start = str(tables / "few.csv"), str(tables / "first")
    train.train(tables / "second")
    manifest = json.loads((tables / "second" / "manifest.json").read_text())
    assert manifest["start"] == {
        "dataset": str(tables / "many.csv"), "patients": 360, "differential_privacy": False
    }  # fmt: skip
    FLAGS.start = str(tables / "second")
    third = dict.fromkeys(("train", "test", "reference"), make_table(40, 3))
    spec = {"data": "third.csv", "split_seed": 0}
    _, about = read_start(spec, third, Schema.load(tables / "second" / "schema.json"), private=True)
    assert about["dataset"] == f"{tables / 'few.csv'} and {tables / 'many.csv'}"
    assert about["patients"] == 24 + 360
    FLAGS.start = str(tables / "first")
    weights = json.loads((tables / "second" / "config.json").read_text())["start"]
    assert len(weights) == 64 and manifest["config"]["start"] == weights
    schema = Schema.load(tables / "second" / "schema.json")
    left_out = f"the 360 patients of {tables / 'many.csv'}"
    assert any(left_out in item for item in list_untested({}, manifest, schema))
    assert left_out in write_limits(manifest)
    (gate,) = judge_start(manifest)
    assert gate["status"] == "CAUTION" and left_out in gate["reason"]
    manifest["start"]["differential_privacy"] = True
    assert judge_start(manifest)[0]["status"] == "PASS" and judge_start({}) == []
    FLAGS.data, FLAGS.split_seed = str(tables / "many.csv"), 1
    with pytest.raises(InputError, match=r"patients held out here. Fix: use --split_seed=0"):
        train.train(tables / "third")
    FLAGS.split_seed, FLAGS["dp.epsilon"].value = 0, 3.0
    with pytest.raises(InputError, match="begin at a model of other patients"):
        train.train(tables / "third")


def test_the_same_patients_are_known_under_another_name_of_the_table(tables):
    train.train(tables / "first")
    MANY.sample(frac=1.0, random_state=0).to_csv(tables / "renamed.csv", index=False)
    FLAGS.data, FLAGS.start = str(tables / "renamed.csv"), str(tables / "first")
    FLAGS["dp.epsilon"].value = 3.0
    with pytest.raises(InputError, match="begin at a model of other patients"):
        train.train(tables / "second")
    FLAGS["dp.epsilon"].value, FLAGS.split_seed = 0.0, 1
    with pytest.raises(InputError, match="patients held out here"):
        train.train(tables / "second")
    # Other patients who have the same numbers, as those of two hospitals may, are strangers.
    make_table(600, 4).assign(patient=MANY["patient"]).to_csv(tables / "renamed.csv", index=False)
    train.train(tables / "second")
