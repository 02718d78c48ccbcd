"""Judges any generator's table: evaluation, audit and report.html in one go, no model needed.

    python experiments/judge.py --run_dir=out --train_csv=train.csv --test_csv=heldout.csv \\
        --synthetic_csv=synthetic.csv --entity=patient --target=died --sensitive=sex

train.csv is what the generator learnt from, heldout.csv are rows of other patients, which it never
saw: without them nobody can tell copying from learning. To make both of one table before you train
your generator, see split.py. The audit's attacker holds real rows too, --reference_csv; where
there are none, half of the held-out patients are taken for it. Where the synthetic table has no ids
each row counts as a patient, and 79.5 in a column of whole numbers is rounded, with a warning. With
--visits=date, the column that orders a patient's rows, whole patients are judged too.
"""

from pathlib import Path

import audit
import evaluate
from _attacks import define_game_flags
from _common import FLAGS, run_script
from _data import define_role_flags
from _given import PARTS, define_csv_flags, list_given, read_tables, refuse_ignored
from _stages import locked

from synthdiff._files import mark_private
from synthdiff._validate import input_error
from synthdiff.data.split import split_frame
from synthdiff.eval.game import MIN_PATIENTS, patient_ids, require_patients
from synthdiff.eval.report import write_report
from synthdiff.train.manifest import describe_run


def define_flags() -> None:
    FLAGS.set_default("run_dir", "runs/judged")
    define_role_flags()
    define_csv_flags()
    define_game_flags()


def read_parts(run_dir: Path):
    """The four tables of an audit, and their schema."""
    given = list_given(PARTS)
    if lacking := {"train", "test", "synthetic"} - set(given):
        names = ", ".join(f"--{part}_csv" for part in sorted(lacking))
        raise input_error(names, "not given", "name real training rows, held-out rows, synthetic")
    refuse_ignored(given)
    tables, schema = read_tables(run_dir, given)
    if "reference" not in given:
        halves = {"test": 0.5, "reference": 0.5}
        held_out = len(set(patient_ids(tables["test"], schema, "test")))
        if held_out < 2 * MIN_PATIENTS:
            problem = f"has {held_out} patients, of whom half are the attacker's"
            fix = f"hold out {2 * MIN_PATIENTS} or more, or name --reference_csv"
            raise input_error(f"--test_csv={FLAGS.test_csv}", problem, fix)
        tables |= split_frame(tables["test"], schema.entity, halves, seed=0)
    require_patients(tables, schema)
    return tables, schema


@locked
def judge(run_dir: Path) -> None:
    tables, schema = read_parts(run_dir)
    mark_private(run_dir, "schema.json")
    schema.save(run_dir / "schema.json")
    evaluation = evaluate.score_tables(run_dir, tables, schema)
    found = audit.attack_tables(run_dir, tables, schema)
    manifest = describe_run(config={}, data_hash=None, seeds={"audit": found["seed"]})
    manifest["dataset"] = Path(FLAGS.synthetic_csv).name
    path, parts = run_dir / "report.html", {"evaluation": evaluation, "audit": found}
    write_report(path, manifest=manifest, schema=schema, training=None, **parts)
    print(f"report: {path}")


if __name__ == "__main__":
    run_script(judge, define_flags)
