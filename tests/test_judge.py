"""A table of any other generator: split the real one, judge what comes back, in two commands."""

import json
import stat

import numpy as np
import pandas as pd
import pytest
from scripts import run_apart, run_here
from test_experiments import list_private

from synthdiff.data.table import read_table


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The real table in three parts, as split.py leaves them."""
    folder, rng = tmp_path_factory.mktemp("judge"), np.random.default_rng(1)
    age = rng.integers(18, 90, 300)
    real = pd.DataFrame({"patient": np.arange(600) // 2, "age": np.repeat(age, 2)})
    real["dose"] = (0.1 * real["age"] + rng.normal(size=600)).round(2)
    real["died"] = rng.random(600) < 0.3
    real.to_csv(folder / "real.csv", index=False)
    done = run_apart(
        "split.py", f"--run_dir={folder}", f"--data={folder / 'real.csv'}", "--entity=patient"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_split_gives_every_patient_to_one_part(parts):
    tables = [read_table(parts / f"{part}.csv") for part in ("train", "test", "reference")]
    patients = [set(table["patient"]) for table in tables]
    assert [len(found) for found in patients] == [180, 60, 60]
    assert len(set.union(*patients)) == 300
    assert sum(map(len, tables)) == 600
    notice = (parts / "PRIVATE.txt").read_text()
    for name in ("train.csv", "test.csv", "reference.csv", "schema.json"):
        assert stat.S_IMODE((parts / name).stat().st_mode) == 0o600 and name in notice


def flags_for(parts, synthetic):
    synthetic.to_csv(parts / "other.csv", index=False)
    return [f"--run_dir={parts / 'out'}", f"--train_csv={parts / 'train.csv'}",
            f"--test_csv={parts / 'test.csv'}", f"--synthetic_csv={parts / 'other.csv'}",
            "--entity=patient", "--target=died"]  # fmt: skip


def test_one_command_evaluates_audits_and_reports(parts):
    """A generator that hands out its training rows is caught; without a reference file too."""
    copied = read_table(parts / "train.csv").assign(patient=-1)
    done = run_here("judge.py", *flags_for(parts, copied))
    assert done.returncode == 0, done.stderr[-2000:]
    audit = json.loads((parts / "out" / "audit.json").read_text())
    assert audit["nonmembers"] == 30 and audit["reference_rows"] == 60  # halves of the held-out
    assert audit["copies"]["train_share"] == 1.0 and "exact copies" in done.stdout
    evaluation = json.loads((parts / "out" / "evaluation.json").read_text())
    assert evaluation["fidelity"]["rate"] == pytest.approx(100)
    named, kept = list_private(parts / "out")
    assert named == kept == {"schema.json", "evaluation.json", "audit.json", "SHA256SUMS"}
    page = (parts / "out" / "report.html").read_text()
    assert "other.csv" in page and audit["verdict"] in page


def test_visits_are_judged_as_whole_patients_too(parts, tmp_path):
    """Another generator's table of visits: copied trajectories are found as such."""
    for part in ("train", "test"):
        table = read_table(parts / f"{part}.csv")
        table["day"] = table.groupby("patient").cumcount() * 30 + 1
        table.to_csv(tmp_path / f"{part}.csv", index=False)
    copied = read_table(tmp_path / "train.csv")
    flags = flags_for(tmp_path, copied.assign(patient=-1 - copied["patient"]))
    done = run_here("judge.py", *flags, "--visits=day")
    assert done.returncode == 0, done.stderr[-2000:]
    whole = json.loads((tmp_path / "out" / "audit.json").read_text())["whole_patients"]
    assert whole["copies"]["train_share"] == 1.0 and whole["verdict"] == "LEAK DETECTED"
    assert "By trajectories: " in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("test", lambda df: df.drop(columns="dose"), ["test_csv", "column 'dose': absent"]),
        ("train", lambda df: df.assign(patient=df["patient"].where(df.index > 0)),
         ["train_csv", "rows without a patient id"]),
        ("synthetic", lambda df: df.assign(dose="high"), ["other.csv", "'high' at row 0"]),
        ("synthetic", lambda df: df.head(0), ["other.csv", "no rows"]),
        ("test", lambda df: df[df["patient"] % 3 == 0], ["test_csv", "half are the attacker's"]),
        ("train", lambda df: df.head(30), ["train table: has 15 patients", "Fix: learn from more"]),
    ],
)  # fmt: skip
def test_a_wrong_table_is_named_before_anything_is_measured(parts, part, change, words, tmp_path):
    tables = {name: read_table(parts / f"{name}.csv") for name in ("train", "test")}
    tables["synthetic"] = tables["train"].copy()
    tables[part] = change(tables[part])
    for name in ("train", "test"):
        tables[name].to_csv(tmp_path / f"{name}.csv", index=False)
    done = run_here("judge.py", *flags_for(tmp_path, tables["synthetic"]))
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    for word in [*words, "Fix"]:
        assert word in done.stderr
    assert "fidelity rate" not in done.stdout


def test_a_table_without_ids_with_broken_numbers_and_odd_levels_is_judged(parts, tmp_path):
    """As other generators write theirs: what is done about it and what is odd stands in the output;
    the same table in our own form gets the same scores."""
    train = read_table(parts / "train.csv")
    train["site"] = np.where(train.index % 2, "north", "south")
    train.to_csv(tmp_path / "train.csv", index=False)
    test = read_table(parts / "test.csv").assign(site="north")
    test.to_csv(tmp_path / "test.csv", index=False)
    made = train.assign(patient=-1 - np.arange(len(train)))
    whole = made.assign(site=np.where(made.index < 3, "nowhere", made["site"]))
    broken = whole.drop(columns="patient").assign(age=whole["age"].astype(float), weight=1.5)
    broken.loc[:9, "age"] += 0.25
    scores = []
    for table in (whole, broken):
        done = run_here("evaluate.py", *flags_for(tmp_path, table))
        assert done.returncode == 0, done.stderr[-2000:]
        scores.append(json.loads((tmp_path / "out" / "evaluation.json").read_text()))
        assert "3 level" not in done.stdout and "never have: 'nowhere'" in done.stdout
    assert scores[0] == scores[1]
    for line in ("column 'patient' names nobody: each row counts as a patient of its own",
                 "column 'age': 10 of 360 values were not whole and were rounded",
                 "left out, as training rows have no such columns: 'weight'"):  # fmt: skip
        assert f"WARNING --synthetic_csv={tmp_path / 'other.csv'}: {line}." in done.stdout


def test_visits_of_nobody_are_refused(parts, tmp_path):
    for part in ("train", "test"):
        table = read_table(parts / f"{part}.csv")
        table.assign(day=table.index).to_csv(tmp_path / f"{part}.csv", index=False)
    made = read_table(tmp_path / "train.csv").drop(columns="patient")
    done = run_here("judge.py", *flags_for(tmp_path, made), "--visits=day")
    assert done.returncode == 1 and "column 'patient': names nobody, so whose" in done.stderr


def test_lacking_tables_are_named(parts):
    flags = flags_for(parts, read_table(parts / "train.csv"))
    done = run_apart("judge.py", *(flag for flag in flags if not flag.startswith("--test_csv")))
    assert done.returncode != 0 and "--test_csv: not given" in done.stderr
