"""Samples a synthetic table from a trained run.

    python experiments/sample.py --run_dir=runs/quickstart --num_rows=10000 --where=female=1

--balance=sex draws equal shares of the column's levels, --balance=sex:F=0.7,M=0.3 the given ones,
--balance=sex*died has died as often in each sex; the other columns are drawn given these.

Writes synthetic.csv (or --out, .csv or .parquet) and prints NFE and records per second. With
--shard_rows=100000 it writes the folder synthetic/ (or --out) of Parquet files, at constant memory:
a second call writes those that are missing, and several processes (--coordinator) share them.
metadata.json beside the table, or in the folder, lets SDV and SDMetrics read it; beside
--out=new.csv it is new.metadata.json.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from _cluster import define_cluster_flags, on_cluster
from _common import FLAGS, run_script
from _draw import count_default, plan_draw
from _draw import define_flags as define_draw_flags
from _pieces import write_pieces
from _stages import SYNTHETIC, locked, read_manifest, write_metadata
from absl import flags

from synthdiff import load
from synthdiff._files import seal
from synthdiff._validate import input_error
from synthdiff.data.shards import count_shards
from synthdiff.data.table import name_shard, read_table, write_table
from synthdiff.data.visits import share_filled
from synthdiff.synthesizer import Synthesizer
from synthdiff.train.processes import are_joined


def define_flags() -> None:
    define_draw_flags()
    flags.DEFINE_integer(
        "num_rows",
        None,
        "records (patients if rows are visits); default: as many as were trained on, of a private "
        "run its patients times --dp.max_rows_per_patient, both public",
    )
    flags.DEFINE_string("out", None, "output file or folder; default synthetic.csv or synthetic/")
    flags.DEFINE_integer(
        "shard_rows",
        None,
        "write a folder of Parquet files of so many records (patients if rows are visits)",
    )


@locked
def write_file(run_dir: Path, out: Path, model: Synthesizer, draw: Callable, num: int) -> None:
    """The whole table in one file; in the run folder sealed, and with metadata for SDV."""
    records = draw(0, num)
    table = model.to_rows(records)
    if model.visits:
        share = share_filled(records, model.visits)
        print(f"{share:.2%} of the visits' cells were not drawn, and filled")
    write_table(table, out)
    beside = out.with_suffix(".metadata.json") if FLAGS.out else run_dir / "metadata.json"
    write_metadata(run_dir, table, beside)
    if not FLAGS.out:
        seal(run_dir, out.name)


def write_folder(run_dir: Path, out: Path, draw: Callable, num: int) -> None:
    """The table in shards, with metadata for SDV, which every process writes alike."""
    write_pieces(run_dir, out, draw, num)
    first = read_table(out / name_shard(0, count_shards(num, FLAGS.shard_rows)))
    write_metadata(run_dir, first, out / "metadata.json")


def _count_learnt(rows: dict[str, int]) -> int:
    return rows.get("records", rows["train"])


def sample(run_dir: Path) -> None:
    model = load(run_dir)
    train_rows = count_default(model, lambda: _count_learnt(read_manifest(run_dir)["rows"]))
    num_rows = FLAGS.num_rows or train_rows
    draw = plan_draw(replace(model, visits=None), num_rows, train_rows)  # records
    out = Path(FLAGS.out) if FLAGS.out else run_dir / SYNTHETIC[bool(FLAGS.shard_rows)]
    started = time.perf_counter()
    if FLAGS.shard_rows:
        write_folder(run_dir, out, lambda *at: model.to_rows(draw(*at), at[0]), num_rows)
    elif are_joined():
        raise input_error("several processes", "cannot share one file", "give --shard_rows")
    else:
        write_file(run_dir, out, model, draw, num_rows)
    seconds = time.perf_counter() - started
    nfe = model.config.sampler.nfe * (2 if FLAGS.guidance else 1)
    print(f"{num_rows} records in {seconds:.1f} s with compilation, NFE {nfe}, written to {out}")


if __name__ == "__main__":
    run_script(on_cluster(sample), define_flags, define_cluster_flags)
