"""The scripts as a user runs them: one small table through every stage, and errors in one line."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scripts import FOLDER, run_apart, run_here

from synthdiff._validate import InputError
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table
from synthdiff.eval.model_card import FILES
from synthdiff.eval.scan import scan_folder

TINY = ["--model.name=mlp", "--model.hidden=32", "--model.depth=1", "--model.width=4",
        "--train.num_steps=20", "--train.batch_size=64", "--train.steps_per_call=10",
        "--sampler.num_steps=4"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    rng = np.random.default_rng(0)
    rows = 600
    table = pd.DataFrame(
        {
            "patient": np.repeat([f"P{i:04d}" for i in range(rows // 2)], 2),
            "age": rng.integers(18, 90, rows),
            "sex": rng.choice(["F", "M"], rows),
            "cost": np.where(rng.random(rows) < 0.4, 0.0, rng.lognormal(4, 1, rows).round(2)),
            "diagnoses": rng.choice(["E11", "I10", "E11;I10", ""], rows),
            "died": rng.random(rows) < 0.3,
        }
    )
    table.to_csv(folder / "visits.csv", index=False)
    flags = [
        f"--data={folder / 'visits.csv'}",
        "--entity=patient",
        "--target=died",
        "--sensitive=sex",
        "--code_sets=diagnoses=;",
        f"--run_dir={folder / 'run'}",
    ]
    done = run_apart("pipeline.py", *flags, *TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, flags


def test_pipeline_leaves_every_artefact(finished):
    folder, _ = finished
    names = {path.name for path in (folder / "run").iterdir()}
    assert names >= {"manifest.json", "schema.json", "config.json", "codec.json", "report.html",
                     "weights.msgpack", "metrics.jsonl", "synthetic.csv", "evaluation.json",
                     "audit.json", "timings.json", "metadata.json", "MODEL_CARD.md", "DATASHEET.md",
                     "trajectory.json"}  # fmt: skip
    metadata = json.loads((folder / "run" / "metadata.json").read_text())
    assert metadata["columns"]["patient"] == {"sdtype": "id"}
    assert {name for name in names if name[0] != "."} <= set(FILES)  # the card explains each
    audit = json.loads((folder / "run" / "audit.json").read_text())
    assert (
        audit["unit"] == "patient" and audit["verdict"] in (folder / "run/report.html").read_text()
    )


def list_private(folder):
    """What PRIVATE.txt names, and the files of the folder that only their owner may read."""
    text = " ".join((folder / "PRIVATE.txt").read_text().split())
    named = set(re.search("them away: (.*?). They are", text)[1].split(", "))
    return named, {path.name for path in folder.iterdir() if not path.stat().st_mode & 0o077}


def test_what_the_card_keeps_from_others_is_private_and_nothing_else(finished):
    """Both ways: the card's "no", the notice and the mode on disk say the same of each file."""
    folder, _ = finished
    owner = {name for name, (*_, whom) in FILES.items() if whom.startswith(("no", "never"))}
    assert len(owner) > 10 and {"evaluation.json", "SHA256SUMS", "DATASHEET.md"} < owner
    named, kept = list_private(folder / "run")
    assert named == owner
    names = {path.name for path in (folder / "run").iterdir()}
    assert kept == owner & names and len(kept) > 10
    for name in FILES.keys() - owner:
        assert FILES[name][-1] in ("yes", "only as experiments/release.py wrote it")


def test_model_card_says_who_was_learnt_from_and_holds_no_real_value(finished, tmp_path):
    folder, _ = finished
    real, schema = pd.read_csv(folder / "visits.csv"), Schema.load(folder / "run/schema.json")
    real = conform(real, schema)
    card = (folder / "run/MODEL_CARD.md").read_text(encoding="utf-8")
    audit = json.loads((folder / "run/audit.json").read_text())
    for part in ("table: visits.csv", "distinct values of `patient`: 180", "fidelity: rate",
                 audit["verdict"], *(gate["reason"] for gate in audit["gates"])):  # fmt: skip
        assert part in card
    assert str(folder) not in card
    for text, found in ((card, False), (f"{card}\nSee {real['patient'][0]}.\n", True)):
        (tmp_path / "card.md").write_text(text, encoding="utf-8")
        assert bool(scan_folder(tmp_path, {"train": real}, schema)) == found
    costs = set(real["cost"][real["cost"] > 100].astype(str))  # the card has no such number
    for text, found in ((card, False), (f"{card} {min(costs)}", True)):
        assert bool(costs & set(re.findall(r"[0-9]+\.[0-9]+", text))) == found


def test_synthetic_table_has_the_columns_and_no_real_patient(finished):
    folder, _ = finished
    real = pd.read_csv(folder / "visits.csv")
    synthetic = pd.read_csv(folder / "run" / "synthetic.csv")
    assert list(synthetic.columns) == list(real.columns)
    assert not set(synthetic["patient"]) & set(real["patient"])


def test_splits_of_a_run_share_no_patient(finished):
    folder, _ = finished
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert 0.5 < manifest["rows"]["train"] / manifest["rows"]["all"] < 0.7
    assert json.loads((folder / "run" / "audit.json").read_text())["members"] == 60


def test_sample_honours_where(finished):
    folder, _ = finished
    out = folder / "women.csv"
    done = run_here("sample.py", f"--run_dir={folder / 'run'}", "--num_rows=30", "--where=sex=F",
               f"--out={out}")  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert (pd.read_csv(out)["sex"] == "F").all() and "NFE 4" in done.stdout


def test_balanced_sample_has_exact_shares(finished):
    folder, _ = finished
    out = folder / "balanced.csv"
    for balance, women in (("sex*died", 15), ("sex:F=0.7,M=0.3", 21)):
        done = run_here("sample.py", f"--run_dir={folder / 'run'}", "--num_rows=30", f"--out={out}",
                   f"--balance={balance}")  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        table = pd.read_csv(out)
        assert (table["sex"] == "F").sum() == women and len(table) == 30
        assert table["age"].nunique() > 5 and list(table.columns)[:3] == ["patient", "age", "sex"]
        if "*" in balance:  # as many women as men died
            assert table.groupby("sex")["died"].sum().nunique() == 1


def test_a_cohort_is_parted_from_all_other_patients(finished, tmp_path):
    _, flags = finished
    done = run_here("split.py", *flags[:-1], f"--run_dir={tmp_path}", "--cohort=sex=F")
    assert done.returncode == 0, done.stderr[-2000:]
    cohort, others = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("cohort", "others"))
    assert not set(cohort["patient"]) & set(others["patient"])
    assert len(cohort) + len(others) == 600 and "sex" not in others
    assert "sex" not in Schema.load(tmp_path / "schema.json").names


def test_shards_are_one_table_and_are_not_mixed(finished, tmp_path, monkeypatch):
    folder, _ = finished
    out = tmp_path / "run" / "synthetic"
    flags = [f"--run_dir={folder / 'run'}", f"--out={out}", "--num_rows=700", "--shard_rows=300",
             "--balance=sex"]  # fmt: skip
    done = run_here("sample.py", *flags)
    assert done.returncode == 0 and "3 of 3 shards" in done.stdout, done.stderr[-2000:]
    table = read_table(out)
    assert len(table) == 700 and (table["sex"] == "F").sum() == 350 and table["patient"].is_unique
    (out / "part-00001-of-00003.parquet").unlink()
    done = run_apart("sample.py", *flags)  # another process draws the same
    assert done.returncode == 0 and "1 of 3 shards" in done.stdout, done.stderr[-2000:]
    pd.testing.assert_frame_equal(read_table(out), table)
    metadata = json.loads((out / "metadata.json").read_text())
    assert metadata == json.loads((folder / "run" / "metadata.json").read_text())
    done = run_here("sample.py", *flags, "--sample_seed=1")
    assert done.returncode != 0 and "another sample_seed" in done.stderr

    monkeypatch.syspath_prepend(FOLDER)
    from _stages import read_run

    for name in ("manifest.json", "SHA256SUMS"):
        shutil.copy(folder / "run" / name, tmp_path / "run")
    parts, _ = read_run(tmp_path / "run")
    assert len(parts["synthetic"]) == 700 and list(parts["synthetic"]) == list(parts["train"])
    shutil.copy(folder / "run" / "synthetic.csv", tmp_path / "run")
    with pytest.raises(InputError, match=r"holds both.*Fix:"):
        read_run(tmp_path / "run")


def test_fairness_record_compares_balanced_with_as_is(finished):
    folder, flags = finished
    flags = [*flags[:-1], f"--run_dir={folder / 'fair'}", *TINY, "--seeds=0,1"]
    done = run_apart("fairness.py", *flags, "--balance=age:30=1")
    assert done.returncode == 1 and "age" in done.stderr and not (folder / "fair/seed0").exists()
    shutil.copytree(folder / "run", folder / "fair/seed0")  # trained by the same flags
    done = run_here("fairness.py", *flags, "--balance=sex")
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((folder / "fair" / "fairness.json").read_text())
    assert "fewer than 20 test patients" in record["scores"]["equalised_odds_gap"]["skipped"]
    row = record["scores"]["accuracy_gap"]
    assert len(row["balanced"]["values"]) == len(row["real + as is"]["values"]) == 2
    expected = row["balanced"]["mean"] - row["as is"]["mean"]
    assert row["change"]["value"] == pytest.approx(expected)
    assert row["change"]["lower"] <= row["change"]["upper"]
    assert "equalised_odds_gap" in (folder / "fair" / "fairness.md").read_text()


def test_visits_train_as_patients_and_come_back_as_rows(finished):
    """The record is the patient: long in, one row each for the model, long out."""
    folder, flags = finished
    real = pd.read_csv(folder / "visits.csv")
    day = real.groupby("patient").cumcount() * 30 + 1
    sex = real.groupby("patient")["sex"].transform("first")
    real.assign(day=day, sex=sex).to_csv(folder / "long.csv", index=False)
    run_dir = folder / "long_run"
    again = [f for f in flags if not f.startswith(("--data", "--run_dir"))]
    again += [f"--data={folder / 'long.csv'}", f"--run_dir={run_dir}", "--visits=day"]
    done = run_here("train.py", *again, *TINY)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "up to 2 visits" in done.stdout and "0 patients lose 0 later visits" in done.stdout
    rows = json.loads((run_dir / "manifest.json").read_text())["rows"]
    assert rows == {"train": 360, "all": 600, "records": 180}
    for script, extra in (("sample.py", ["--where=num_visits=2"]), ("evaluate.py", [])):
        done = run_here(script, f"--run_dir={run_dir}", *extra)
        assert done.returncode == 0, done.stderr[-3000:]
    synthetic = pd.read_csv(run_dir / "synthetic.csv")
    assert list(synthetic.columns) == [*real.columns, "day"] and len(synthetic) == 360
    people = synthetic.groupby("patient")
    assert (people.size() == 2).all() and (people["sex"].nunique() == 1).all()
    temporal = json.loads((run_dir / "evaluation.json").read_text())["temporal"]
    assert temporal["constancy"]["sex"]["synthetic"] == 1 and "lag cost" in temporal["distances"]
    again = ("--whitebox", "--shadow_models=4", "--shadow_steps=20", "--noises=1")
    done = run_here("audit.py", f"--run_dir={run_dir}", *again)
    assert done.returncode == 0, done.stderr[-3000:]
    audit = json.loads((run_dir / "audit.json").read_text())
    assert audit["whitebox"]["shadow_patients"] == 60 and "pia" in audit["whitebox"]["attacks"]
    assert set(audit["whole_patients"]["attacks"]) == set(audit["attacks"])
    assert "whole patients, all their visits: " in done.stdout


def test_shards_of_patients_are_one_table_of_visits(finished, tmp_path):
    """Shards count patients; a lost one comes back as it was, and no two share an id."""
    folder, _ = finished
    out, other = tmp_path / "synthetic", tmp_path / "other"
    flags = [f"--run_dir={folder / 'long_run'}", "--num_rows=700"]
    done = run_here("sample.py", *flags, f"--out={out}", "--shard_rows=300")
    assert done.returncode == 0 and "3 of 3 shards" in done.stdout, done.stderr[-2000:]
    table = read_table(out)
    assert table["patient"].nunique() == 700 and len(table) > 700
    parts = [pd.read_parquet(path) for path in sorted(out.glob("*.parquet"))]
    assert all((part.dtypes == parts[0].dtypes).all() for part in parts)
    assert [part["patient"].nunique() for part in parts] == [300, 300, 100]
    (out / "part-00001-of-00003.parquet").unlink()
    done = run_here("sample.py", *flags, f"--out={out}", "--shard_rows=300")
    assert done.returncode == 0 and "1 of 3 shards" in done.stdout, done.stderr[-2000:]
    pd.testing.assert_frame_equal(read_table(out), table)
    done = run_here("sample.py", *flags, f"--out={other}", "--shard_rows=700")
    assert done.returncode == 0, done.stderr[-2000:]
    pd.testing.assert_frame_equal(read_table(other), table)
    done = run_here("sample.py", *flags, f"--out={tmp_path / 'one.csv'}")
    schema = Schema.load(folder / "long_run" / "schema.json")
    pd.testing.assert_frame_equal(
        conform(read_table(tmp_path / "one.csv"), schema),
        conform(table, schema),
        check_dtype=False,
    )
    beside = json.loads((tmp_path / "one.metadata.json").read_text())
    assert beside == json.loads((out / "metadata.json").read_text())
    assert set(beside["columns"]) == set(table)


def test_a_student_s_run_is_like_its_teacher_s(finished, tmp_path):
    folder, _ = finished
    options = [f"--teacher={folder / 'run'}", "--num_records=300", f"--run_dir={tmp_path}"]
    done = run_here("distill.py", *options, *TINY, "--sampler.num_steps=2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "learnt from 300 drawn records; NFE 2" in done.stdout
    theirs, ours = (
        json.loads((where / "manifest.json").read_text()) for where in (folder / "run", tmp_path)
    )
    assert [ours[name] for name in ("data", "rows", "patients", "data_sha256")] == [
        theirs[name] for name in ("data", "rows", "patients", "data_sha256")
    ]
    assert ours["teacher"]["records"] == 300
    done = run_here("sample.py", f"--run_dir={tmp_path}")
    assert done.returncode == 0, done.stderr[-3000:]
    real, table = (pd.read_csv(f) for f in (folder / "visits.csv", tmp_path / "synthetic.csv"))
    assert list(table.columns) == list(real.columns)
    assert len(table) == theirs["rows"]["train"]


def test_few_steps_are_scored_and_timed(finished):
    folder, _ = finished
    done = run_apart("benchmark_few_steps.py", f"--run_dir={folder / 'run'}", "--samplers=ddim",
               "--nfe=4", "--num_rows=200")  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    row = json.loads((folder / "run" / "few_steps.json").read_text())["tables"]["scores"][0]
    assert row["nfe"] == 4 and row["front"] == "yes" and row["records_per_s"] > 0
    assert row["fidelity_loss"] == pytest.approx(100 - (row["shape"] + row["trend"]) / 2)
    assert 0.4 < row["lower"] <= row["detection_auc"] <= row["upper"] <= 1.0


@pytest.mark.parametrize(
    ("run", "script", "flags", "expected"),
    [
        (run_apart, "frontier.py", ["--sweep=depth=1"], "names no flag"),
        (run_here, "frontier.py", ["--seeds=0,a"], "write whole numbers between commas"),
        (run_here, "pipeline.py", ["--frontier=absent.json"], "no such file"),
        (run_apart, "train.py", ["--data=absent.csv"], "neither a known data set nor a file"),
        (run_here, "train.py", ["--train.num_steps=0"], "num_steps > 0"),
        (run_here, "train.py", ["--process_id=1"], "nobody to meet"),
        (
            run_here,
            "train.py",
            ["--coordinator=localhost:1", "--num_processes=2"],
            "which process this is",
        ),
        (run_here, "train.py", ["--data=rand_hie_visits", "--max_visits=9"], "5 or fewer"),
        (
            run_here,
            "train.py",
            ["--data=rand_hie_visits", "--dp.epsilon=3"],
            "is read from the table",
        ),
        (run_apart, "sample.py", ["--run_dir=absent"], "name a folder with a finished run"),
        (run_apart, "evaluate.py", ["--train_csv=a.csv"], "Name all of"),
    ],
)
def test_mistakes_end_in_one_line(run, script, flags, expected, tmp_path):
    done = run(script, f"--run_dir={tmp_path / 'run'}", *flags)
    assert done.returncode != 0 and expected in done.stderr and "Traceback" not in done.stderr
