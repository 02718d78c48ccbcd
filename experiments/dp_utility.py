"""What a guarantee costs: fidelity, utility and attacks at several epsilons and without.

    python experiments/dp_utility.py --run_dir=runs/dp --epsilons=1,3,10,0 --seeds=0,1,2 \\
        --record=experiments/results/dp_utility.json

Epsilon 0 trains without differential privacy. Takes every flag of train.py, --start among them,
whose settings are the same for all epsilons. Scores are kept in the run folder: a run that was
stopped goes on.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import jax
import train
from _common import (
    FLAGS,
    describe_data,
    describe_origin,
    read_data,
    run_script,
    split_table,
    write_record,
)
from _scores import format_spread, summarise
from _start import define_start_flag, read_start
from _sweep import require_same
from absl import flags

from synthdiff._files import make_folder
from synthdiff.config import Config
from synthdiff.data.table import write_json
from synthdiff.eval.audit import audit
from synthdiff.eval.evaluate import evaluate
from synthdiff.models.config import count_params
from synthdiff.synthesizer import Synthesizer, fit
from synthdiff.train.manifest import describe_run, hash_frame


def define_flags() -> None:
    train.define_flags()
    define_start_flag()
    flags.DEFINE_list("epsilons", ["1", "3", "10", "0"], "budgets; 0 is no privacy")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "training seeds")
    flags.DEFINE_string("record", None, "record file; default record.json in the run folder")


def measure(
    parts: dict, schema, config: Config, seed: int, start: Synthesizer | None
) -> dict[str, float]:
    """The headline numbers of one model."""
    jax.clear_caches()  # as in _sweep.py
    started = time.perf_counter()
    model = fit(parts["train"], schema, config=config, seed=seed, start=start)
    trained = time.perf_counter()
    synthetic = model.sample(len(parts["train"]), seed=seed)
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


def format_markdown(record: dict) -> str:
    """One row per score, one column per epsilon."""
    lines = [f"# {record['dataset']} by epsilon, seeds {', '.join(map(str, record['seeds']))}", ""]
    lines += [f"- {key}: {record[key]}" for key in ("command", "commit", "device", "wall_seconds")]
    if len(record["seeds"]) == 1:
        lines.append("- one seed only: nothing is known of the spread over seeds")
    names = list(record["scores"])
    heads = [f"epsilon {name}" if float(name) else "not private" for name in names]
    lines += ["", f"| score | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(names)]
    for score in next(iter(record["scores"].values())):
        cells = [record["scores"][name].get(score) for name in names]
        texts = ["" if cell is None else format_spread(cell) for cell in cells]
        lines.append(f"| {score} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def measure_all(path: Path, base: Config, spec: dict) -> dict:
    """The scores of every epsilon and seed; what the file at `path` has is not measured again."""
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    private = any(map(float, FLAGS.epsilons))
    start, about_start = read_start(spec, parts, schema, private=private)
    about = {"config": base.to_json(), "data_hash": hash_frame(df), "start": about_start}
    runs = json.loads(path.read_text()) if path.exists() else about | {"scores": {}}
    require_same(path, runs, about)
    for epsilon in FLAGS.epsilons:
        config = replace(base, dp=replace(base.dp, epsilon=float(epsilon)))
        for seed in FLAGS.seeds:
            found = runs["scores"].setdefault(epsilon, {})
            if seed not in found:
                found[seed] = measure(parts, schema, config, int(seed), start)
                print(f"epsilon {epsilon}, seed {seed}: {found[seed]}", flush=True)
                write_json(path, runs)
    return {
        epsilon: [runs["scores"][epsilon][seed] for seed in FLAGS.seeds]
        for epsilon in FLAGS.epsilons
    }


def compare(root: Path) -> None:
    spec, base = describe_data(), train.build_config()
    found = measure_all(make_folder(root) / "runs.json", base, spec)
    seeds = [int(seed) for seed in FLAGS.seeds]
    facts = describe_run(config=base.to_json(), data_hash=None, seeds={"train": seeds})
    spent = sum(scores["seconds in all"] for each in found.values() for scores in each)
    record = {"dataset": spec["data"], "seeds": seeds, **describe_origin(facts)}
    record |= {"config": facts["config"], "wall_seconds": round(spent)}
    record["scores"] = {epsilon: summarise(each) for epsilon, each in found.items()}
    write_record(root / "record.json", record, format_markdown(record))


if __name__ == "__main__":
    run_script(compare, define_flags)
