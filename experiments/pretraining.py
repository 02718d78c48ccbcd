"""What it is worth to begin with other patients: quality over the size of a cohort.

    python experiments/pretraining.py --run_dir=runs/cardiology --data=diabetes130 \\
        --cohort=medical_specialty=Cardiology --patients=100,300,1000,1900

The cohort is every patient with a row of that value. A first model learns from all others, with the
flags of train.py, and stays in <run_dir>/first; the column itself is left out. Then, per seed and
number of patients, "alone" trains on them from random weights and "pretrained" begins at the first
model, with the flags of --alone and --pretrained added; "first model" has seen none of them. A seed
draws split (40 % train, 40 % test, 20 % known to the attacker), training and table; exposure is
measured on the patients of train and test, not on those of the first model. A run that was
stopped goes on, and several processes in one folder share the arms, each taking the next that no
other has taken.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
from _cluster import define_cluster_flags
from _cohort import ARMS, part_cohort
from _common import FLAGS, define_numbers, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data
from _record import Job, format_sweep, open_record, run_sweep
from _results import define_record_flag, write_record
from _sweep import fit_timed, read_arm, score_fully, split_patients
from _sweep_plots import plot_sizes
from absl import flags

from synthdiff._files import hold_file
from synthdiff.data.schema import Schema
from synthdiff.synthesizer import Synthesizer, fit


def define_flags() -> None:
    define_training_flags()
    flags.DEFINE_string("cohort", None, "column=value of the rows that make a patient one of it")
    define_numbers("patients", "100,300,1000", "sizes of the cohort to train on")
    flags.DEFINE_string("alone", "", "more flags of train.py where training begins at random")
    flags.DEFINE_string("pretrained", "", "and where it begins at the first model")
    define_numbers("seeds", "0,1,2", "seeds of split, training and table")
    flags.DEFINE_integer("num_rows", 8192, "synthetic rows that are scored and attacked")
    define_record_flag()
    flags.mark_flag_as_required("cohort")


def list_jobs(cohort: pd.DataFrame, schema: Schema, first: Synthesizer) -> Iterator[Job]:
    """Every arm and size of each seed."""
    sizes = [int(size) for size in FLAGS.patients]
    for seed in FLAGS.seeds:
        score = partial(score_run, cohort, schema, int(seed))
        yield "first model", seed, partial(score, max(sizes), lambda *given: (first, {}))
        for size, (arm, start) in product(sizes, {"alone": None, "pretrained": first}.items()):
            config = read_arm(f"{arm}: {FLAGS[arm].value}", int(seed))
            make = partial(fit_timed, config, start=start)
            yield f"{arm}, {size}", seed, partial(score, size, make)


def score_run(
    cohort: pd.DataFrame, schema: Schema, seed: int, size: int, make: Callable
) -> dict[str, float]:
    """Everything about the model that `make` gives for so many patients."""
    parts = split_patients(cohort, schema, seed, size)
    model, spent = make(parts["train"], schema)
    return score_fully(model, parts, schema, seed, FLAGS.num_rows) | spent


def compare(run_dir: Path) -> None:
    """Trains the first model, then scores every size, arm and seed that the record lacks."""
    df, schema = read_data(describe_data())
    cohort, others, schema = part_cohort(df, schema, FLAGS.cohort)
    arms = [f"{arm}: {FLAGS[arm].value}" for arm in ARMS]
    for text in arms:
        read_arm(text, 0)
    config, facts = build_config(), {"num_rows": FLAGS.num_rows, "cohort": FLAGS.cohort}
    path, record = open_record(run_dir, df, arms, config=config.to_json(), **facts)
    with hold_file(run_dir / "first.lock", wait=True):  # of several processes one trains it
        options = {"folder": run_dir / "first", "max_visits": FLAGS.max_visits}
        first = fit(others, schema, config=config, **options)

    def show(record: dict) -> None:
        write_record(path, record, format_sweep("Beginning with other patients", record))
        plot_sizes(record, path.with_suffix(".png"))

    run_sweep(run_dir, path, record, list(list_jobs(cohort, schema, first)), show)


if __name__ == "__main__":
    run_script(compare, define_flags, define_cluster_flags)
