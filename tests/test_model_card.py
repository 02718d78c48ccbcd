"""The model card: every result with its floor, what was skipped, and nothing it does not know."""

import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.datasheet import write_datasheet
from synthdiff.eval.model_card import FILES, write_model_card
from synthdiff.eval.report import write_report
from synthdiff.eval.statistics import interval

SCHEMA = Schema(
    (
        Column("id", "entity"),
        Column("age", "integer", lower=17.0, upper=93.0),
        Column("town", "categorical", categories=("Ulm", "Kyoto")),
    ),
    target="age",
    sensitive=("town",),
)
GATE = {"name": "linkability", "status": "CAUTION", "reason": "Above 0.05.", "why": "0.05"}
MANIFEST = {
    "dataset": "/home/someone/visits.csv",
    "command": ["train.py", "--data=/home/someone/visits.csv"],
    "rows": {"train": 1200, "all": 2000},
    "patients": {"train": 300},
    "config": {"train": {"num_steps": 2500}},
    "seeds": {"train": 7},
    "versions": {"jax": "0.10.2"},
    "device": {"count": 8, "kind": "TPU v5e"},
    "git_revision": "abc123",
    "parameters": 2442978,
    "differential_privacy": None,
}
EVALUATION = {
    "fidelity": {"rate": 98.5, "shape": 99.1, "trend": 97.9,
                 "floor": {"rate": 96.7, "shape": 97.4, "trend": 96.0}},
    "detection": {"auc": interval(0.645, 0.62, 0.66), "floor": interval(0.505, 0.48, 0.53)},
    "utility": {"mean": {"tstr": {"r2": 0.41}, "trtr": {"r2": 0.45}}},
}  # fmt: skip
AUDIT = {
    "unit": "patient",
    "members": 250,
    "nonmembers": 250,
    "verdict": "LEAK DETECTED",
    "reasons": ["Attack distance: AUC 0.61."],
    "gates": [GATE],
    "nearest": [{"train_row": 1, "distance": 0.125}],
}


def write(manifest=None, evaluation=None, audit=None, schema=SCHEMA, canaries=None):
    return write_model_card(
        manifest=MANIFEST | (manifest or {}),
        schema=schema,
        evaluation=EVALUATION | (evaluation or {}),
        audit=AUDIT | (audit or {}),
        canaries=canaries,
    )


def test_pages_about_a_run_hold_no_hash_of_its_table(tmp_path):
    """They are not for the owner alone, and a hash tells who is in the table."""
    manifest = MANIFEST | {"data_sha256": "5eed" * 16}
    write_report(
        tmp_path / "report.html", manifest=manifest, schema=SCHEMA, evaluation=None, audit=None,
        training=None,
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    pages = (page, write(manifest), write_datasheet(manifest=manifest, schema=SCHEMA))
    assert "num_steps" in page and not any("5eed" in text for text in pages)


def test_pages_of_a_private_run_count_patients_and_no_rows(tmp_path):
    """Rows may change with a patient by more than one, and no noise is on their number."""
    manifest = {k: v for k, v in MANIFEST.items() if k != "rows"}
    manifest["differential_privacy"] = {"epsilon": 1.0, "delta": 1e-5}
    evaluation = {"rows": {"train": 1234, "test": 432, "synthetic": 777}}
    shown = {"evaluation": evaluation, "audit": None, "training": None, "schema": SCHEMA}
    write_report(tmp_path / "report.html", manifest=manifest, **shown)
    page = (tmp_path / "report.html").read_text()
    sheet = write_datasheet(manifest=manifest, schema=SCHEMA)
    assert "777" in page and not any(count in page for count in ("1234", "1,234", "432"))
    card = write_model_card(manifest=manifest, schema=SCHEMA, evaluation=EVALUATION, audit=AUDIT)
    assert "300 patients" in sheet and "- patients, distinct values of `id`: 300" in card
    assert "rows it was trained on" not in card and "rows of the whole" not in card + sheet


def test_datasheet_has_counts_roles_and_questions_and_no_value():
    sheet = write_datasheet(manifest=MANIFEST | {"codec_notes": ["None is rare."]}, schema=SCHEMA)
    for line in (
        "# Datasheet of visits.csv",
        "- A row is one record; a patient is a value of `id`.",
        "| id | entity | patient |  |",
        "| age | integer | target |  |",
        "| town | categorical | sensitive | 2 categories, read from the table |",
        "- None is rare.",
        "- Sensitive columns: town.",
    ):
        assert line in sheet.splitlines(), line
    assert "2000 rows, of which 1200 of 300 patients" in sheet
    assert sheet.count("To be answered by the holder") == 6
    assert not any(value in sheet for value in ("Ulm", "Kyoto", "93", "/home"))
    private = write_datasheet(
        manifest=MANIFEST | {"differential_privacy": {"epsilon": 1.0}}, schema=SCHEMA
    )
    assert "dropped at random" in private and "dropped at random" not in sheet


def test_card_has_every_result_beside_its_floor_and_all_that_is_needed_to_judge_it():
    card = write()
    for line in (
        "| fidelity: rate, % | 98.500 | 96.700 |",
        "| fidelity: trend, % | 97.900 | 96.000 |",
        "| detection AUC | 0.645 (0.620 to 0.660) | 0.505 (0.480 to 0.530) |",
        "| R² of models trained on it | 0.410 | 0.450 |",
        "- table: visits.csv",
        "- rows it was trained on: 1200",
        "- patients, distinct values of `id`: 300",
        "- sensitive: town",
        "- 1 categorical: town",
        "- train.num_steps: 2500",
        "- seed.train: 7",
        "- version.jax: 0.10.2",
        "- device: 8 x TPU v5e",
        "- commit: abc123",
        "Audit of the table: **LEAK DETECTED**.",
        "- Attack distance: AUC 0.61.",
        "| linkability | CAUTION | Above 0.05. | 0.05 |",
        "No differential privacy: nothing bounds the risk from above.",
    ):
        assert line in card.splitlines(), line
    for title in ("Intended use", "Misuse", "Limits", "Training data", "Privacy", "Not tested"):
        assert title in card


def test_card_tells_no_value_no_path_and_no_nearest_record():
    card = write()
    for secret in ("Ulm", "Kyoto", "93", "/home/someone", "0.125", "train_row"):
        assert secret not in card, secret


def test_what_was_skipped_is_said():
    floor = EVALUATION["fidelity"]["floor"] | {"trend": {"skipped": "one column"}}
    fidelity = EVALUATION["fidelity"] | {"trend": {"skipped": "one column"}, "floor": floor}
    skipped = {"detection": {"skipped": "12 rows"}, "utility": {"skipped": "no target"}}
    lines = write(evaluation=skipped | {"fidelity": fidelity}).splitlines()
    assert "| fidelity: trend, % | Skipped: one column | Skipped: one column |" in lines
    assert "| detection AUC | Skipped: 12 rows | – |" in lines
    assert "| utility | Skipped: no target | – |" in lines


def test_card_of_a_private_run_and_of_an_audited_model():
    model = {"verdict": "INCONCLUSIVE", "reasons": ["Few patients."]}
    guarantee = {"epsilon": 3.0, "delta": 1e-4, "ledger": []}
    card = write({"differential_privacy": guarantee}, audit={"whitebox": model})
    assert "Trained with differential privacy: epsilon 3, delta 0.0001." in card
    assert "Audit of the model itself: **INCONCLUSIVE**." in card and "- Few patients." in card
    assert "nothing bounds" not in card and "has no differential privacy" not in card
    assert "attackers who hold the model's weights" in write() and (
        "attackers who hold the model's weights" not in card
    )


def test_rows_without_entity_count_as_patients():
    schema = Schema(SCHEMA.columns[1:])
    lines = write(schema=schema).splitlines()
    assert "- patients, one for each row: 300" in lines and "- target: none" in lines


@pytest.mark.parametrize("name", FILES)
def test_only_files_without_people_may_be_shared_freely(name):
    what, holds, shared = FILES[name]
    assert f"| {name} | {what} | {holds} | {shared} |" in write().splitlines()
    harmless = ("nothing", "scores", "number of patients", "what its own card says")
    assert (shared == "yes") == (holds in harmless)


def test_card_of_a_student_says_what_it_learnt_from():
    line = "learnt from: 5000 records that another model drew"
    assert line in write(manifest=MANIFEST | {"teacher": {"records": 5000}})
    assert "learnt from:" not in write()
