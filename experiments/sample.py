"""Samples a synthetic table from a trained run.

    python experiments/sample.py --run_dir=runs/quickstart --num_rows=10000 --where=female=1

--balance=sex draws equal shares of the column's levels, --balance=sex:F=0.7,M=0.3 the given ones;
the other columns are drawn given that one.

Writes synthetic.csv (or --out, .csv or .parquet) and prints NFE and records per second.
"""

import time
from pathlib import Path

from _balanced import draw_balanced
from _common import FLAGS, locked, read_manifest, run_script
from absl import flags

from synthdiff import load
from synthdiff._files import seal
from synthdiff._validate import input_error
from synthdiff.data.table import write_table


def define_flags() -> None:
    flags.DEFINE_integer("num_rows", None, "rows to draw; default: as many as were trained on")
    flags.DEFINE_integer("sample_seed", 0, "seed of the synthetic table")
    flags.DEFINE_list("where", [], "conditions such as female=1,site=3")
    flags.DEFINE_string("balance", None, "column, or column:level=share,..., with exact shares")
    flags.DEFINE_float("guidance", 0.0, "classifier-free guidance weight for --where")
    flags.DEFINE_string("out", None, "output file; default synthetic.csv in the run folder")


def parse_where(conditions: list[str], schema) -> dict:
    """{"column": value} with each value of the column's own type."""
    where = {}
    for item in conditions:
        name, equals, text = item.partition("=")
        if not equals:
            raise input_error(f"--where={item}", "is not name=value", "write for example female=1")
        dtype = schema[name].dtype.lower()
        try:
            where[name] = float(text) if "float" in dtype or "int" in dtype else text
        except ValueError as error:
            raise input_error(f"--where={item}", "is not a number", "give a number") from error
        if "bool" in dtype:
            where[name] = text.lower() in ("1", "true", "yes")
        if "int" in dtype:
            where[name] = int(where[name])
    return where


@locked
def sample(run_dir: Path) -> None:
    model = load(run_dir)
    train_rows = read_manifest(run_dir)["rows"]["train"]
    num_rows = FLAGS.num_rows or train_rows
    where, seed = parse_where(FLAGS.where, model.codec.schema), FLAGS.sample_seed
    if FLAGS.balance and (where or FLAGS.guidance):
        raise input_error("--balance", "excludes --where and --guidance", "use one of them")
    started = time.perf_counter()
    if FLAGS.balance:
        table = draw_balanced(model, FLAGS.balance, num_rows, train_rows, seed)
    else:
        table = model.sample(num_rows, seed=seed, where=where, guidance=FLAGS.guidance)
    seconds = time.perf_counter() - started
    out = Path(FLAGS.out) if FLAGS.out else run_dir / "synthetic.csv"
    write_table(table, out)
    if not FLAGS.out:
        seal(run_dir, out.name)
    nfe = model.config.sampler.nfe * (2 if FLAGS.guidance else 1)
    print(f"{num_rows} rows in {seconds:.1f} s with compilation, NFE {nfe}, written to {out}")


if __name__ == "__main__":
    run_script(sample, define_flags)
