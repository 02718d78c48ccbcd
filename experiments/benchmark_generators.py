"""Generators trained, drawn from and scored in one run, on the same cores of one machine.

    python experiments/benchmark_generators.py --data=adult --generators=ours,ctgan --nfe=32,8
    python experiments/benchmark_generators.py --command='copy: cp {train} {out}'

Other generators: --command='name: program {train} {out} {rows} {seed}', any program that learns
from the CSV {train} and writes {rows} rows to {out}; it is timed as a whole. Ours takes the config
flags of train.py, CTGAN its own package. Seconds are of the clock and of the processor, of ended
children too, and compilation counts. Ratios are of processor seconds, which other jobs on the
machine hardly change: compare those, and no seconds of two runs.
"""

import os
import time
from pathlib import Path

from _common import FLAGS, define_numbers, keep_programs, run_script
from _config import define_setting_flags
from _generator_costs import add_ratios, keep_to_cores, run_generator, summarise_seeds
from _generators import GENERATORS, make_generators
from _results import define_record_flag, describe_origin, locate_record, write_record
from _tables import format_record, take_means
from absl import flags

from synthdiff._files import make_folder
from synthdiff._validate import one_of
from synthdiff.data.protocol import SPLITS, load_split
from synthdiff.data.table import write_table
from synthdiff.train.manifest import hash_frame

TITLE = "Generators trained and drawn from side by side"
UNITS = "s: seconds of the clock, cpu_s: of the processor, with those of ended children"


def benchmark(run_dir: Path) -> None:
    for name in FLAGS.generators:
        one_of(GENERATORS, generators=name)
    path = locate_record(make_folder(run_dir) / "generators.json")
    keep_programs("")  # so that compilation counts
    started, load, cores = time.time(), os.getloadavg()[0], keep_to_cores(FLAGS.cores)
    about = describe_origin()  # wakes JAX, with as many threads as there are cores now
    parts, schema = load_split(FLAGS.data, FLAGS.data_dir)
    rows, seeds = FLAGS.rows or len(parts["train"]), list(map(int, FLAGS.seeds))
    features = parts["train"][[column.name for column in schema.features]]
    write_table(features, run_dir / "train.csv", private=True)
    runs: list[dict] = [{} for _ in seeds]
    about |= {"dataset": FLAGS.data, "rows to train on": len(features)}
    about["data_sha256"] = hash_frame(parts["train"])
    about |= {"rows drawn": rows, "seeds": len(seeds), "cores used": cores, "units": UNITS}
    for generator in make_generators(parts["train"], schema, rows, run_dir):
        for run, seed in zip(runs, seeds, strict=True):
            run |= run_generator(generator, seed, parts, schema, rows)
        about["load of the machine"] = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
        about["wall_seconds"] = round(time.time() - started)
        write(path, about, summarise_seeds([add_ratios(run) for run in runs]))


def write(path: Path, about: dict, rows: list[dict]) -> None:
    """After every generator: what is measured stays should a later one fail."""
    text = format_record(TITLE, about | {"tables": {"generators": take_means(rows)}})
    write_record(path, about | {"tables": {"generators": rows}}, text)


def define_flags() -> None:
    flags.DEFINE_string("data", "adult", ", ".join(SPLITS))
    flags.DEFINE_string("data_dir", None, "folder with the data sets; default $SYNTHDIFF_DATA")
    flags.DEFINE_list("generators", ["independent_marginals", "ours"], ", ".join(GENERATORS))
    flags.DEFINE_multi_string("command", [], "name: program {train} {out} {rows} {seed}")
    define_numbers("nfe", "32,8", "most network evaluations per record of ours")
    flags.DEFINE_integer("ctgan_epochs", 300, "passes of CTGAN over the table", lower_bound=1)
    flags.DEFINE_integer("rows", None, "rows to draw; default as many as there are to train on")
    define_numbers("seeds", "0", "training seeds")
    flags.DEFINE_integer("cores", 1, "cores that every generator may use", lower_bound=1)
    define_record_flag("generators.json")
    define_setting_flags()


if __name__ == "__main__":
    run_script(benchmark, define_flags)
