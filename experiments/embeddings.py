"""What a network's embeddings are good for: attacks, alpha-precision and beta-recall, search.

    python experiments/embeddings.py --run_dir=runs/embeddings --patients=250,975 \\
        --train.num_steps=1500 --train.max_epochs=1000000

For each seed, which draws split (40 % train, 40 % test, 20 % known to the attacker), training and
table, and each number of training patients, the same is measured in three spaces: "columns",
one-hot categories and scaled numbers; "own network", embeddings of the model that drew the table,
which an attacker must hold; "other network", those of a model that has learnt from the attacker's
own patients, for --other_epochs. A run that was stopped goes on.
"""

from functools import lru_cache, partial
from pathlib import Path

import jax
import pandas as pd
from _common import FLAGS, define_numbers, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data
from _record import format_sweep, open_record, run_sweep
from _results import define_record_flag, write_record
from _spaces import (
    Space,
    make_columns_space,
    make_network_space,
    score_attacks,
    score_measures,
    score_search,
)
from _sweep import read_arm, score_loss, split_patients
from absl import flags

from synthdiff.data.schema import Schema
from synthdiff.scoring import measure_loss
from synthdiff.synthesizer import fit

SPACES = ("columns", "own network", "other network")


def define_flags() -> None:
    define_training_flags()
    define_numbers("patients", "250,975", "numbers of training patients")
    define_numbers("seeds", "0,1,2", "seeds of split, training and table")
    flags.DEFINE_integer("other_epochs", 60, "passes of the other network over its patients")
    flags.DEFINE_integer("num_rows", 8192, "synthetic rows that are attacked and searched")
    flags.DEFINE_integer("measured_rows", 4096, "rows of a table that is measured, at most")
    define_record_flag()


def make_spaces(
    run_dir: Path, df: pd.DataFrame, schema: Schema, size: int, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, Space], dict[str, float]]:
    """The parts with the synthetic table, the spaces, and what the model's own loss gives away."""
    jax.clear_caches()
    parts, folder = split_patients(df, schema, seed, size), run_dir / f"seed{seed}"
    model = fit(parts["train"], schema, config=read_arm("own:", seed), folder=folder / f"{size}")
    config = read_arm(f"other: --train.max_epochs={FLAGS.other_epochs}", seed)
    other = fit(parts["reference"], schema, config=config, folder=folder / "other")
    columns = make_columns_space(parts["reference"], schema)
    spaces = (columns, make_network_space(model), make_network_space(other))
    nats = {part: measure_loss(model, parts[part], num_noises=4) for part in ("train", "test")}
    loss = score_loss(nats, parts, schema)
    parts["synthetic"] = model.sample(FLAGS.num_rows, seed=seed)
    return parts, dict(zip(SPACES, spaces, strict=True)), loss


def score_space(make, schema: Schema, name: str, size: int, seed: int) -> dict[str, float]:
    """Everything about one space, and the model's own loss beside what needs the model."""
    parts, spaces, loss = make(size, seed)
    return {
        **score_attacks(spaces[name], parts, schema, seed),
        **(loss if name == "own network" else {}),
        **score_measures(spaces[name], parts, seed, FLAGS.measured_rows),
        **score_search(spaces[name], parts, schema, seed),
    }


def compare(run_dir: Path) -> None:
    """Trains the models and scores every space that the record lacks."""
    df, schema = read_data(describe_data())
    facts = {"config": build_config().to_json()}
    facts |= {name: FLAGS[name].value for name in ("num_rows", "measured_rows", "other_epochs")}
    path, record = open_record(run_dir, df, **facts)
    make = lru_cache(maxsize=1)(partial(make_spaces, run_dir, df, schema))
    jobs = [
        (f"{size} patients, {name}", seed,
         partial(score_space, make, schema, name, int(size), int(seed)))
        for seed in FLAGS.seeds for size in FLAGS.patients for name in SPACES
    ]  # fmt: skip

    def show(record: dict) -> None:
        write_record(path, record, format_sweep("Embeddings", record))

    run_sweep(run_dir, path, record, jobs, show)


if __name__ == "__main__":
    run_script(compare, define_flags)
