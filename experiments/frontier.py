"""Where detail costs privacy: one knob at a time, fidelity and utility against exposure.

    python experiments/frontier.py --run_dir=runs/frontier --seeds=0,1,2 \\
        --sweep=train.num_steps=300,2500 --sweep=schedule.log_snr_max=0,9 --sweep=patients=200,900

A sweep sets one flag of train.py to each value in turn, the others staying as they are; "patients"
cuts the training part. A seed draws the split by patient (40 % train, 40 % test, 20 % known to the
attacker), the training and the table. Exposure is measured on all patients of train and test:
attacks on the table, the model's own loss, and the gap between its loss on both. A run that was
stopped goes on, and several processes in one folder share the points, each taking the next that no
other has taken.
"""

from functools import partial
from pathlib import Path

from _cluster import define_cluster_flags
from _common import FLAGS, define_numbers, parse_choices, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data
from _record import format_sweep, open_record, run_sweep
from _results import define_record_flag, write_record
from _sweep import fit_timed, read_arm, score_fully, split_patients
from _sweep_plots import plot_frontier
from absl import flags

from synthdiff._validate import input_error


def define_flags() -> None:
    define_training_flags()
    flags.DEFINE_multi_string("sweep", [], "flag=value,value,... or patients=number,...")
    define_numbers("seeds", "0,1,2", "seeds of split, training and table")
    flags.DEFINE_integer("num_rows", 8192, "synthetic rows that are scored and attacked")
    define_record_flag()


def read_sweeps() -> dict[str, tuple[str, str]]:
    """{point: (knob, value)} of the --sweep flags; the settings as they stand come first."""
    points = {"default": ("", "")}
    for text in FLAGS.sweep:
        knob, values = parse_choices(text)
        if not all(values) or not (knob == "patients" or knob in FLAGS):
            fix = "write --sweep=train.num_steps=300,1000"
            raise input_error(f"--sweep={text}", "names no flag or no value", fix)
        points |= {f"{knob}={value}": (knob, value) for value in values}
    return points


def score_point(df, schema, knob: str, value: str, seed: int) -> dict[str, float]:
    """Everything about one model."""
    patients = int(value) if knob == "patients" else None
    arm = f"{knob}: --{knob}={value}" if knob and not patients else "default:"
    parts = split_patients(df, schema, seed, patients)
    model, spent = fit_timed(read_arm(arm, seed), parts["train"], schema)
    return score_fully(model, parts, schema, seed, FLAGS.num_rows) | spent


def sweep(run_dir: Path) -> None:
    """Scores every point and seed that the record does not hold yet."""
    df, schema = read_data(describe_data())
    points, facts = read_sweeps(), {"config": build_config().to_json()}
    path, record = open_record(run_dir, df, num_rows=FLAGS.num_rows, **facts)
    jobs = [
        (point, seed, partial(score_point, df, schema, *choice, int(seed)))
        for seed in FLAGS.seeds
        for point, choice in points.items()
    ]

    def show(record: dict) -> None:
        write_record(path, record, format_sweep("Frontier", record))
        plot_frontier(record, path.with_suffix(".png"))

    run_sweep(run_dir, path, record, jobs, show)


if __name__ == "__main__":
    run_script(sweep, define_flags, define_cluster_flags)
