"""Scores a synthetic table: fidelity, detection, utility, each beside its real-vs-real floor.

    python experiments/evaluate.py --run_dir=runs/quickstart

For any other generator's table name the files; no model is needed (judge.py also audits it):

    python experiments/evaluate.py --run_dir=out --train_csv=a.csv --test_csv=b.csv \\
        --synthetic_csv=c.csv --target=died
"""

from pathlib import Path

from _cluster import define_cluster_flags, first_alone
from _common import run_script
from _data import define_role_flags
from _given import alone, define_csv_flags, read_tables
from _stages import locked

from synthdiff._files import leave_private
from synthdiff.eval.evaluate import evaluate

PARTS = ("train", "test", "synthetic")


def define_flags() -> None:
    define_role_flags()
    define_csv_flags(PARTS)


def score_tables(run_dir: Path, tables: dict, schema) -> dict:
    """Writes evaluation.json and prints its headlines."""
    result = evaluate(tables["train"], tables["test"], tables["synthetic"], schema)
    leave_private(run_dir, "evaluation.json", result)
    rate, floor = result["fidelity"]["rate"], result["fidelity"]["floor"]["rate"]
    print(f"fidelity rate {rate:.2f} % (real against real {floor:.2f} %)")
    for name, gap in result["utility"].get("mean", {}).get("gap_points", {}).items():
        print(f"utility gap in {name}, real minus synthetic: {gap:.2f} points")
    return result


@locked
def run_evaluation(run_dir: Path) -> None:
    score_tables(run_dir, *read_tables(run_dir, PARTS))


if __name__ == "__main__":
    run_script(first_alone(alone(run_evaluation, PARTS)), define_cluster_flags, define_flags)
