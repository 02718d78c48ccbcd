"""Spaces of records: what is measured in one finds a copy, a shuffled table and a changed row."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl import flags

from synthdiff.data.conform import conform
from synthdiff.data.infer import infer_schema
from synthdiff.eval.protocol.distance import Mixed
from synthdiff.eval.protocol.precision_recall import compare_places

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import embeddings
from _spaces import (
    Space,
    change_cells,
    make_columns_space,
    score_attacks,
    score_measures,
    score_search,
)

FLAGS, SCRIPT = flags.FLAGS, embeddings
pytestmark = pytest.mark.usefixtures("script_flags")


def make_table(seed, first=0, rows=600):
    """`dose` is the weight but for a little noise: shuffled apart, no row is like a real one."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(70.0, 12.0, rows)
    return pd.DataFrame(
        {
            "patient": first + np.arange(rows) // 2,
            "weight": weight,
            "dose": weight + rng.normal(0.0, 0.5, rows),
            "sex": rng.choice(["F", "M"], rows),
            "ward": rng.choice(list("ABCDE"), rows),
        }
    )


SCHEMA = infer_schema(make_table(0), entity="patient", target="sex")
PARTS = {
    name: conform(make_table(i, 1000 * i), SCHEMA)
    for i, name in enumerate(("train", "test", "reference", "synthetic"))
}
COLUMNS = make_columns_space(PARTS["reference"], SCHEMA)
BLIND = Space(lambda df: COLUMNS.place(df)[:, -3:], None)  # to all but a few wards


def test_attacks_find_a_copied_table_in_any_space_that_tells_rows_apart():
    honest = score_attacks(COLUMNS, PARTS, SCHEMA, 0)
    copied = PARTS | {"synthetic": PARTS["train"]}
    assert abs(honest["calibrated_distance AUC"] - 0.5) < 0.1
    for space in (COLUMNS, Space(lambda df: 3 * COLUMNS.place(df)[:, ::-1], None)):
        found = score_attacks(space, copied, SCHEMA, 0)
        assert found["calibrated_distance AUC"] > 0.7
        assert found["distance TPR at 1% FPR"] > 0.9
    found = score_attacks(BLIND, copied, SCHEMA, 0)
    assert found["calibrated_distance AUC"] < 0.6 and found["distance TPR at 1% FPR"] < 0.1


def test_a_space_that_holds_dependence_tells_shuffled_columns():
    def difference(df):
        return (df["dose"] - df["weight"]).to_numpy(float)[:, None]

    def compare(real, other):
        tables = [Mixed(difference(t), np.empty((len(t), 0), np.int32)) for t in (real, other)]
        return compare_places(*tables)

    apart = score_measures(Space(difference, compare), PARTS, 0, 500)
    assert apart["alpha_precision, real"] > 90 > 60 > apart["alpha_precision, shuffled"]
    columns = score_measures(COLUMNS, PARTS, 0, 500)
    assert columns["alpha_precision, shuffled"] > 90  # as is known of one-hot rows
    assert columns["beta_recall, real"] > columns["beta_recall, shuffled"] + 5


def test_changed_cells_are_as_many_as_asked_for():
    for count in (1, 3):
        rows = PARTS["train"]
        changed = change_cells(rows, SCHEMA, count, np.random.default_rng(0))
        assert ((changed != rows).sum(axis=1) == count).all()
        assert (changed["patient"] == rows["patient"]).all()
        assert (changed.dtypes == rows.dtypes).all()


def test_a_changed_row_is_found_where_the_space_has_all_columns():
    few = {name: table.head(40) for name, table in PARTS.items()}
    found = score_search(COLUMNS, few, SCHEMA, 0)
    assert found["1 changed, found in ten"] > 0.75 > 0.3 > found["3 changed, found in ten"]
    assert score_search(BLIND, few, SCHEMA, 0)["1 changed, found in ten"] < 0.6


def test_the_record_has_every_space_and_goes_on(tmp_path, capsys):
    make_table(0).to_csv(tmp_path / "table.csv", index=False)
    given = {"data": str(tmp_path / "table.csv"), "entity": "patient", "patients": ["40"],
             "seeds": ["0"], "num_rows": 200, "measured_rows": 60, "other_epochs": 2,
             "model.name": "mlp", "model.width": 8, "model.hidden": 32, "sampler.num_steps": 4,
             "train.num_steps": 10, "train.batch_size": 32}  # fmt: skip
    for name, value in given.items():
        FLAGS[name].value = value
    embeddings.compare(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert list(record["runs"]) == [f"40 patients, {space}" for space in embeddings.SPACES]
    scores = {name: runs["0"] for name, runs in record["runs"].items()}
    values = [{k: v for k, v in s.items() if "TPR" not in k} for s in scores.values()]
    assert values[0] != values[1] != values[2]
    assert "attack on the model, loss AUC" in scores["40 patients, own network"]
    config = json.loads((tmp_path / "run" / "seed0" / "other" / "config.json").read_text())
    assert config["train"]["num_steps"] == 8  # two passes over 120 rows
    assert "beta_recall, shuffled" in (tmp_path / "run" / "record.md").read_text()
    capsys.readouterr()
    embeddings.compare(tmp_path / "run")
    assert "seed 0:" not in capsys.readouterr().out
