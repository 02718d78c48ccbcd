"""What a guarantee costs: fidelity, utility and attacks at several epsilons and without.

    python experiments/dp_utility.py --run_dir=runs/dp --epsilons=1,3,10,0 --seeds=0,1,2 \\
        --record=experiments/results/dp_utility.json

Epsilon 0 trains without differential privacy. Takes every flag of train.py, --start among them,
whose settings are the same for all epsilons. A run that was stopped goes on, and several processes
in one folder share the trainings, each taking the next that no other has taken.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
from _cluster import define_cluster_flags
from _common import FLAGS, define_numbers, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data, split_table
from _draw import count_default
from _record import format_sweep, open_record, run_sweep
from _results import define_record_flag, write_record
from _start import define_start_flag, read_start

from synthdiff.config import Config
from synthdiff.data.visits import count_records
from synthdiff.eval.audit import audit
from synthdiff.eval.evaluate import evaluate
from synthdiff.models.config import count_params
from synthdiff.synthesizer import Synthesizer, fit


def define_flags() -> None:
    define_training_flags()
    define_start_flag()
    define_numbers("epsilons", "1,3,10,0", "budgets; 0 is no privacy", float)
    define_numbers("seeds", "0,1,2", "training seeds")
    define_record_flag()


def measure(
    parts: dict, schema, config: Config, seed: int, start: Synthesizer | None
) -> dict[str, float]:
    """The headline numbers of one model."""
    jax.clear_caches()  # as in _sweep.py
    started = time.perf_counter()
    options = {"config": config, "seed": seed, "start": start, "max_visits": FLAGS.max_visits}
    model = fit(parts["train"], schema, **options)
    trained = time.perf_counter()
    num_rows = count_default(model, lambda: count_records(parts["train"], schema))
    synthetic = model.sample(num_rows, seed=seed)
    found = evaluate(parts["train"], parts["test"], synthetic, schema)
    attacks = audit(parts["train"], parts["test"], parts["reference"], synthetic, schema)
    scores = {
        "fidelity rate": found["fidelity"]["rate"],
        "fidelity rate, floor": found["fidelity"]["floor"]["rate"],
        "detection AUC": found["detection"]["auc"]["value"],
    }
    for source in ("trtr", "tstr"):
        scores[f"utility {source} auroc"] = found["utility"]["mean"][source]["auroc"]
    for name, attack in attacks["attacks"].items():
        scores[f"attack {name} AUC"] = attack["auc"]["value"]
    if model.privacy:
        scores["epsilon, PLD"] = model.privacy["epsilon"]
    scores["parameters"] = count_params(model.params)
    seconds = {"seconds train": trained - started, "seconds in all": time.perf_counter() - started}
    return scores | {name: round(spent, 1) for name, spent in seconds.items()}


def compare(run_dir: Path) -> None:
    """Scores every epsilon and seed that the record does not hold yet."""
    spec, base = describe_data(), build_config()
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    private = any(map(float, FLAGS.epsilons))
    start, about_start = read_start(spec, parts, schema, private=private)
    facts = {"start": about_start, "split_seed": spec["split_seed"]}
    path, record = open_record(run_dir, df, config=base.to_json(), **facts)
    jobs = []
    for epsilon in FLAGS.epsilons:
        config = replace(base, dp=replace(base.dp, epsilon=float(epsilon)))
        for seed in FLAGS.seeds:
            score = partial(measure, parts, schema, config, int(seed), start)
            jobs.append((epsilon, seed, score))

    def show(record: dict) -> None:
        write_record(path, record, format_sweep("Scores by epsilon (0: not private)", record))

    run_sweep(run_dir, path, record, jobs, show)


if __name__ == "__main__":
    run_script(compare, define_flags, define_cluster_flags)
