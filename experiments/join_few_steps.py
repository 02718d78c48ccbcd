"""The records of benchmark_few_steps.py of several trained runs as one, over training seeds.

    python experiments/join_few_steps.py --run_dir=runs/few --runs=runs/a0,runs/a1,runs/a2 \\
        --record=experiments/results/few_steps.json

Runs whose settings differ in the training seed alone become one row per sampler and NFE: mean,
standard deviation over seeds and the single values. Rows are told apart by the model: how many
guesses it makes at once, and whether it is a student of another (distill.py). "front": no row of
any model is in the mean both faster and as good.
"""

import json
import shlex
from dataclasses import replace
from pathlib import Path

from _common import FLAGS, run_script
from _results import define_record_flag, write_record
from _scores import mark_front, summarise
from _stages import read_manifest
from _tables import format_record, take_means
from absl import flags

from synthdiff._validate import input_error
from synthdiff.config import Config

FOLDERS = ("--run_dir", "--teacher", "--record")  # left out of commands
SCORES = ("shape", "trend", "fidelity_loss", "detection_auc", "records_per_s")
SHARED = ("commit", "device", "dataset", "num_rows", "floor of shape", "floor of trend")


def read_run(folder: Path) -> tuple[Config, dict]:
    """A run's config without seed and teacher's draws, and its record of few steps."""
    path = folder / "few_steps.json"
    if not path.exists():
        fix = f"run benchmark_few_steps.py --run_dir={folder} first"
        raise input_error(str(path), "no such record", fix)
    config = Config.from_json(read_manifest(folder)["config"])
    config = replace(config, train=replace(config.train, seed=0), teacher=config.teacher and "yes")
    return config, json.loads(path.read_text())


def name_model(config: Config) -> str:
    """What tells the rows of a table apart: "1 guess", "8 guesses" or "student, 8 guesses"."""
    count = config.model.components
    guesses = f"{count} guess{'es' if count > 1 else ''}"
    return f"student, {guesses}" if config.teacher else guesses


def join(runs: list[tuple[Config, dict]]) -> list[dict]:
    """A row per config, sampler and NFE, with the scores over runs."""
    groups: dict[tuple, list[dict]] = {}
    for config, record in runs:
        for row in record["tables"]["scores"]:
            groups.setdefault((config, row["sampler"], row["nfe"]), []).append(row)
    joined = [
        {"model": name_model(config), "sampler": sampler, "nfe": nfe, "runs": len(rows)}
        | summarise([{name: row[name] for name in SCORES} for row in rows])
        for (config, sampler, nfe), rows in groups.items()
    ]
    fronts = [row["front"] for row in mark_front(take_means(joined))]
    return [row | {"front": front} for row, front in zip(joined, fronts, strict=True)]


def define_flags() -> None:
    flags.DEFINE_list("runs", None, "run folders, each with a few_steps.json", required=True)
    define_record_flag("few_steps.json")


def main(run_dir: Path) -> None:
    folders = [Path(name) for name in FLAGS.runs]
    runs = [read_run(folder) for folder in folders]
    first = runs[0][1]
    for folder, (_, record) in zip(folders, runs, strict=True):
        for name in SHARED:
            if record[name] != first[name]:
                problem = f"{name} is {record[name]}, not {first[name]} as in {folders[0]}"
                raise input_error(str(folder), problem, "join runs measured alike")
    words = [read_manifest(folder)["command"] for folder in folders]
    commands = dict.fromkeys(
        shlex.join(w for w in line if not w.startswith(FOLDERS)) for line in words
    )
    facts = {"command": first["command"], "trained by": "; ".join(commands)}
    facts |= {name: first[name] for name in SHARED}
    facts["wall_seconds"] = sum(record["wall_seconds"] for _, record in runs)
    rows = sorted(join(runs), key=lambda row: (row["model"], row["sampler"], row["nfe"]))
    text = format_record(
        "Quality against evaluations, means over runs",
        facts | {"tables": {"scores": take_means(rows)}},
    )
    write_record(
        run_dir / "few_steps.json",
        facts | {"versions": first["versions"], "tables": {"scores": rows}},
        text,
    )


if __name__ == "__main__":
    run_script(main, define_flags)
