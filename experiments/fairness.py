"""Does balancing a column make models fairer that are trained on the synthetic table?

    python experiments/fairness.py --run_dir=runs/fairness --balance=black \\
        --record=experiments/results/fairness_rand_hie.json

Per seed it trains a model, in a folder of its own where training resumes, and samples it as it is
and balanced, with --balance=black*health also with health as frequent in both groups; models of
each table, alone and added to the real rows, are tested on real rows.
Takes every flag of train.py. Writes the record as JSON, and a Markdown table beside it.
"""

import time
from pathlib import Path

import numpy as np
import train
from _arms import compare_arms, draw_tables, find_groups, measure_tables
from _common import FLAGS, define_numbers, run_script
from _config import define_training_flags
from _data import describe_data, read_data, split_table
from _fairness_text import format_markdown
from _results import define_record_flag, describe_origin, write_record
from _stages import read_manifest
from _start import define_start_flag
from absl import flags

from synthdiff import load
from synthdiff._validate import input_error
from synthdiff.data.balance import parse_balance
from synthdiff.data.visits import count_records
from synthdiff.eval.utility import predict_target


def define_flags() -> None:
    define_training_flags()
    define_start_flag()
    flags.DEFINE_string("balance", None, "column, or column:level=share,..., as in sample.py")
    flags.DEFINE_integer("num_rows", None, "rows per table; default: as many as were trained on")
    define_numbers("seeds", "0,1,2", "training seeds, and of the tables")
    define_record_flag("fairness.json")
    flags.mark_flag_as_required("balance")


def compare(root: Path) -> None:
    """Trains a model per seed, then draws, fits, measures and writes the record."""
    started, tables = time.monotonic(), {}
    name = parse_balance(FLAGS.balance)[0]
    df, schema = read_data(describe_data())
    parts = split_table(df, schema, FLAGS.split_seed)
    rows = FLAGS.num_rows or count_records(parts["train"], schema)
    find_groups(parts, schema, name, np.arange(len(parts["test"])))  # or refused before training
    for seed in FLAGS.seeds:
        run_dir = root / f"seed{seed}"
        FLAGS["train.seed"].value = int(seed)
        train.train(run_dir)
        drawn = draw_tables(load(run_dir), parts["train"], schema, FLAGS.balance, rows, int(seed))
        tables |= drawn
    manifest = read_manifest(run_dir)
    predictions = predict_target(tables, parts["test"], schema, 0)
    if isinstance(predictions, dict):
        fix = "name another target, or give more rows"
        raise input_error("--target", predictions["skipped"], fix)
    codes, groups, patients = find_groups(parts, schema, name, predictions.rows)
    scores = compare_arms(measure_tables(predictions, codes, groups, patients))
    record = {
        "dataset": manifest["dataset"],
        "balance": FLAGS.balance,
        "target": predictions.target,
        "seeds": [int(seed) for seed in FLAGS.seeds],
        "rows": {part: len(parts[part]) for part in ("train", "test")} | {"synthetic": rows},
        "test_patients": {g: len(np.unique(patients[codes == i])) for i, g in enumerate(groups)},
        **describe_origin(manifest),
        "train_steps": manifest["config"]["train"]["num_steps"],
        "wall_seconds": round(time.monotonic() - started),
        "scores": scores,
    }
    write_record(root / "fairness.json", record, format_markdown(record))


if __name__ == "__main__":
    run_script(compare, define_flags)
