"""Scores synthdiff and baselines by the TabDiff protocol, beside real rows, copies and shuffles.

    python experiments/benchmark_quality.py --data=adult --run_dir=runs/adult \\
        --methods=real,copy,shuffled,smote,unet,mlp --seeds=0,1,2 --num_samples=20

Other generators: --csv=name:folder/*.csv, one file per sampled table. Finished tables are not
done again, and --draw_only leaves their scores to another machine, which is given the folder and
the same flags. --report writes the Markdown anew from the record. Takes the config flags of
train.py.
"""

import json
from pathlib import Path

import _methods
from _common import FLAGS, define_numbers, run_script
from _config import define_setting_flags
from _method_scores import draw_method, repeat_method
from _results import define_record_flag, describe_origin, locate_record, write_record
from absl import flags

from synthdiff._validate import input_error, one_of, positive
from synthdiff.data.protocol import SPLITS, load_split
from synthdiff.eval.protocol.record import format_markdown
from synthdiff.eval.protocol.trees import require_xgboost
from synthdiff.train.manifest import describe_run, hash_frame


def define_flags() -> None:
    flags.DEFINE_string("data", "adult", ", ".join(SPLITS) + ", any with _halves for the DCR")
    flags.DEFINE_string("data_dir", None, "folder with the data sets; default $SYNTHDIFF_DATA")
    flags.DEFINE_list("methods", list(_methods.BASELINE_METHODS), ", ".join(_methods.METHODS))
    flags.DEFINE_multi_string("csv", [], "name:path of other generators' tables")
    define_numbers("seeds", "0,1,2", "training seeds")
    flags.DEFINE_integer("num_samples", 20, "tables drawn per training seed")
    flags.DEFINE_enum("xgb_device", "cpu", ["cpu", "cuda"], "where XGBoost runs")
    define_record_flag()
    flags.DEFINE_bool("draw_only", False, "train and draw, and leave the scores to a later call")
    flags.DEFINE_bool("report", False, "only write the Markdown table of the record anew")
    define_setting_flags()


def run_all(root: Path) -> dict:
    """The record: summaries of every method with what is needed to repeat them."""
    parts, schema = load_split(FLAGS.data, FLAGS.data_dir)
    manifest = describe_run(config={}, data_hash=hash_frame(parts["train"]), seeds={})
    seeds = [int(seed) for seed in FLAGS.seeds]
    methods = {
        name: repeat_method(name, seeds, parts, schema, root)
        for name in [*FLAGS.methods, *_methods.read_csv_flags()]
    }
    versions = manifest["versions"] | {"xgboost": require_xgboost().__version__}
    return {
        "dataset": FLAGS.data,
        "rows": {part: len(df) for part, df in parts.items()},
        **describe_origin(manifest | {"versions": versions}),
        "data_sha256": manifest["data_sha256"],
        "wall_seconds": round(sum(sum(s.values()) for m in methods.values() for s in m["seconds"])),
        "methods": methods,
    }


def draw_all(root: Path) -> None:
    """Trains and draws the tables of every method that has any."""
    parts, schema = load_split(FLAGS.data, FLAGS.data_dir)
    for name in (name for name in FLAGS.methods if name in _methods.SEEDED):
        for seed in map(int, FLAGS.seeds):
            folder = root / name / f"seed{seed}"
            draw_method(name, seed, parts["train"], schema, folder)


def benchmark(root: Path) -> None:
    """Runs every method and seed, and writes the record as JSON and Markdown."""
    if FLAGS.draw_only:
        return draw_all(root)
    path = locate_record(root / "record.json")
    if not FLAGS.report:
        for name in FLAGS.methods:
            one_of(_methods.METHODS, methods=name)
        positive(num_samples=FLAGS.num_samples)
        require_xgboost()
        record = run_all(root)
    elif not path.exists():
        raise input_error(f"--record={path}", "no such record", "run without --report first")
    else:
        record = json.loads(path.read_text())
    write_record(path, record, format_markdown(record))


if __name__ == "__main__":
    run_script(benchmark, define_flags)
