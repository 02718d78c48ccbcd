"""Scores a synthetic table: fidelity, detection, utility, each beside its real-vs-real floor.

    python experiments/evaluate.py --run_dir=runs/quickstart

For any other generator's table name the files; no model and no JAX are needed:

    python experiments/evaluate.py --run_dir=out --train_csv=a.csv --test_csv=b.csv \\
        --synthetic_csv=c.csv --target=died
"""

from pathlib import Path

from _common import FLAGS, define_data_flags, infer_from_flags, locked, read_run, run_script
from _visits import name_roles
from absl import flags

from synthdiff._files import make_folder, seal
from synthdiff._validate import InputError
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table, write_json
from synthdiff.eval.evaluate import evaluate


def define_flags() -> None:
    for part in ("train", "test", "reference", "synthetic"):
        flags.DEFINE_string(f"{part}_csv", None, f"{part} table, instead of the run's own")


def read_tables(run_dir: Path, needed: tuple[str, ...]):
    """The tables of the run, or those named by flags."""
    paths = {part: FLAGS[f"{part}_csv"].value for part in needed}
    if not any(paths.values()):
        return read_run(run_dir)
    if not all(paths.values()):
        raise InputError(f"Name all of {', '.join(f'--{part}_csv' for part in needed)}.")
    tables = {part: read_table(path) for part, path in paths.items()}
    spec = {name: FLAGS[name].value for name in ("entity", "target", "sensitive", "code_sets")}
    real = tables["train"]
    schema = Schema.load(FLAGS.schema) if FLAGS.schema else infer_from_flags(real, spec)
    schema = name_roles(schema, {name: FLAGS[name].value for name in ("visits", "visit_group")})
    make_folder(run_dir)
    return {part: conform(df, schema) for part, df in tables.items()}, schema


@locked
def run_evaluation(run_dir: Path) -> None:
    tables, schema = read_tables(run_dir, ("train", "test", "synthetic"))
    result = evaluate(tables["train"], tables["test"], tables["synthetic"], schema)
    write_json(run_dir / "evaluation.json", result)
    seal(run_dir, "evaluation.json")
    rate, floor = result["fidelity"]["rate"], result["fidelity"]["floor"]["rate"]
    print(f"fidelity rate {rate:.2f} % (real against real {floor:.2f} %)")
    for name, gap in result["utility"].get("mean", {}).get("gap_points", {}).items():
        print(f"utility gap in {name}, real minus synthetic: {gap:.2f} points")


if __name__ == "__main__":
    run_script(run_evaluation, define_data_flags, define_flags)
