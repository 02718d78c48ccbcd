"""What each choice of the model is worth: arms that differ in a few flags, over training seeds.

    python experiments/ablate.py --run_dir=runs/ablation --seeds=0,1,2 \\
        --arm="default:" --arm="mlp: --model.name=mlp" --arm="32 steps: --sampler.num_steps=32"
    python experiments/ablate.py --run_dir=runs/grid --random=6 \\
        --grid=train.learning_rate=0.001,0.002,0.004 --grid=model.width=16,32,64

Every combination of the --grid values is an arm, or --random=N of them, which keeps the same ones
as N grows. Every other flag of train.py holds for all arms. Finished arms and seeds are read from
the record, so a run that was stopped goes on. Several processes with the same command and folder
share the arms, each taking the next that no other has taken: `launch/local.sh ablate ...`, or an
array of SLURM jobs. Losses are the training objective without known columns, in nats per record, on
patients of the training and of the test part.
"""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from _cluster import define_cluster_flags
from _common import FLAGS, define_numbers, parse_choices, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data, split_table
from _record import open_record, run_sweep
from _results import define_record_flag
from _scores import format_spread, summarise
from _sweep import fit_timed, read_arm, score_model
from _sweep_plots import plot_arms
from absl import flags

from synthdiff._files import write_atomically
from synthdiff.data.schema import Schema
from synthdiff.eval.markdown import format_rows


def define_flags() -> None:
    define_training_flags()
    flags.DEFINE_multi_string("arm", ["default:"], "an arm, as 'name: --flag=value ...'")
    flags.DEFINE_multi_string("grid", [], "flag=value,value,...; every combination is an arm")
    flags.DEFINE_integer("random", None, "only so many combinations of --grid", lower_bound=1)
    define_numbers("seeds", "0,1,2", "training seeds")
    flags.DEFINE_integer("num_rows", 8192, "synthetic rows that are scored")
    define_record_flag()


def list_arms() -> list[str]:
    """The arms of --arm, then those of --grid; a mistake in any of them is raised now."""
    choices = []
    for text in FLAGS.grid:
        flag, values = parse_choices(text)
        choices.append([f"--{flag}={value}" for value in values])
    points = [" ".join(point) for point in product(*choices)] if choices else []
    if FLAGS.random:
        points = np.random.default_rng(0).permutation(points)[: FLAGS.random].tolist()
    arms = [*FLAGS.arm, *(f"{point.replace('--', '')}: {point}" for point in points)]
    for text in arms:
        read_arm(text, 0)
    return arms


def write_ablation(path: Path, record: dict) -> None:
    """A Markdown table beside the record, and a plot of every seed by arm."""
    arms = {arm: summarise(list(runs.values())) for arm, runs in record["runs"].items()}
    lines = [f"# Ablation on {record['dataset']}", "", f"    {record['command']}", ""]
    lines += [f"- {key}: {record[key]}" for key in ("commit", "device")]
    lines += ["- mean ± standard deviation over seeds; in brackets how many", ""]
    rows = [
        [f"{arm} [{len(record['runs'][arm])}]", *map(format_spread, scores.values())]
        for arm, scores in arms.items()
    ]
    lines += format_rows(["arm", *next(iter(arms.values()))], rows)
    write_atomically(path.with_suffix(".md"), ("\n".join(lines) + "\n").encode())
    plot_arms(record, path.with_suffix(".png"))


def score_arm(text: str, parts: dict, schema: Schema, seed: int) -> dict[str, float]:
    """Everything about the model of one arm."""
    model, spent = fit_timed(read_arm(text, seed), parts["train"], schema)
    *_, scores = score_model(model, parts, schema, seed, FLAGS.num_rows)
    return scores | spent


def ablate(run_dir: Path) -> None:
    """Runs every arm and seed that the record does not hold yet."""
    arms, (df, schema) = list_arms(), read_data(describe_data())
    parts = split_table(df, schema, FLAGS.split_seed)
    facts = {"num_rows": FLAGS.num_rows, "split_seed": FLAGS.split_seed}
    path, record = open_record(run_dir, df, arms, config=build_config().to_json(), **facts)
    jobs = [
        (text.partition(":")[0], seed, partial(score_arm, text, parts, schema, int(seed)))
        for seed in FLAGS.seeds
        for text in arms
    ]
    run_sweep(run_dir, path, record, jobs, partial(write_ablation, path))


if __name__ == "__main__":
    run_script(ablate, define_flags, define_cluster_flags)
