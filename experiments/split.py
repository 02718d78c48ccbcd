"""Splits a table by patient into train, test and reference files, before any generator sees it.

    python experiments/split.py --run_dir=out --data=real.csv --entity=patient

Writes train.csv (60% of the patients), test.csv and reference.csv (20% each) into the run folder.
Train your generator on train.csv alone; judge.py then compares its table with all three.
--cohort=ward=ICU writes cohort.csv, with all rows of patients who have a row of that value, and
others.csv instead, both without the column: a model of the others may lend the cohort its weights.
"""

from pathlib import Path

from _cohort import part_cohort
from _common import FLAGS, run_script
from _data import define_data_flags, describe_data, read_data, split_table
from absl import flags

from synthdiff._files import make_folder, mark_private
from synthdiff.data.table import write_table


def define_flags() -> None:
    FLAGS.set_default("run_dir", "runs/split")
    define_data_flags()
    flags.DEFINE_string("cohort", None, "column=value: part these patients from all others")


def run_split(run_dir: Path) -> None:
    df, schema = read_data(describe_data())
    if FLAGS.cohort:
        *tables, schema = part_cohort(df, schema, FLAGS.cohort)
        parts = dict(zip(("cohort", "others"), tables, strict=True))
    else:
        parts = split_table(df, schema, FLAGS.split_seed)
    make_folder(run_dir, private=True)
    mark_private(run_dir, "schema.json", *(f"{part}.csv" for part in parts))
    schema.save(run_dir / "schema.json")
    for part, table in parts.items():
        write_table(table, run_dir / f"{part}.csv", private=True)
        print(f"{len(table)} rows in {run_dir / part}.csv")


if __name__ == "__main__":
    run_script(run_split, define_flags)
