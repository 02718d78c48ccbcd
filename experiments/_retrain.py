"""A table of a paper measured anew, beside what its record says."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from _papers import Table, compare, read_grid, read_record

from synthdiff._files import make_folder
from synthdiff._validate import input_error

HERE = Path(__file__).resolve().parent
RECORD = "record.json"  # of the new measurement, in its folder


def retrain(table: Table, results: Path, folder: Path) -> list[dict]:
    """Runs the command of the table's record anew and compares what it measures."""
    record = read_record(table, results)
    if table.by_hand:
        raise input_error(f"record {table.record}", "needs more than one command", table.by_hand)
    repeat_command(record["command"], folder, folder / RECORD)
    measured = json.loads((folder / RECORD).read_text())
    return compare(read_grid(table, record), read_grid(table, measured))


def repeat_command(command: str, folder: Path, record: Path) -> None:
    """Runs the command of a record again, in this folder and into this record."""
    script, *words = shlex.split(command)
    path = HERE / Path(script).name
    if not path.exists():
        raise input_error(f"record {record.name}", f"no script {script}", "measure it anew")
    words = [word for word in words if not word.startswith(("--record", "--run_dir"))]
    ours = [f"--run_dir={folder}", f"--record={record}"]
    make_folder(folder)
    print("$", shlex.join([script, *words, *ours]), flush=True)
    done = subprocess.run([sys.executable, str(path), *words, *ours])
    if done.returncode:
        raise SystemExit(done.returncode)


def print_comparison(rows: list[dict]) -> None:
    width = max((len(row["score"]) for row in rows), default=5)
    print(f"{'score':{width}}  {'expected':>10}  {'tolerance':>9}  {'measured':>10}  within")
    for row in rows:
        new = row["measured"] if isinstance(row["measured"], str) else f"{row['measured']:.4f}"
        print(f"{row['score']:{width}}  {row['expected']:10.4f}  {row['tolerance']:9.4f}  "
              f"{new:>10}  {'yes' if row['within'] else 'NO'}")  # fmt: skip
