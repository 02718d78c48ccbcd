"""Which attacks catch a model that was trained too long on too few patients?

    python experiments/overfit_audit.py --run_dir=runs/overfit --cohort=300 \\
        --model.name=mlp --train.num_steps=3000 --compare=runs/quickstart \\
        --record=experiments/results/whitebox_rand_hie.json

Trains on `cohort` of the training patients, attacks table and model, and records the result beside
audits that are finished (--compare: run folders that `audit.py --whitebox` has seen).
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _attacks import attack_with_flags, define_attack_flags
from _common import FLAGS, run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data, split_table
from _results import define_record_flag, describe_origin, write_record
from absl import flags

from synthdiff.data.visits import count_records
from synthdiff.eval.audit import audit
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.release import redact
from synthdiff.synthesizer import fit
from synthdiff.train.manifest import describe_run, hash_frame

COLUMNS = ("attack", "on", "AUC", "TPR at 1% FPR", "adjusted p", "AUC on shadow models")
ENDLESS = 10**6  # epochs: here the model is to learn its patients by heart


def define_flags() -> None:
    define_training_flags()
    define_attack_flags()
    flags.DEFINE_integer("cohort", 300, "training patients")
    flags.DEFINE_list("compare", [], "folders of finished runs with a white-box audit")
    define_record_flag()


def list_cells(name: str, on: str, found: dict, shadow_auc: float | None) -> list[str]:
    auc, tpr = found["auc"], found["tpr_at_1pct_fpr"]
    return [
        *(name, on),
        f"{auc['value']:.3f} ({auc['lower']:.3f} to {auc['upper']:.3f})",
        f"{tpr['value']:.1%} ({tpr['lower']:.1%} to {tpr['upper']:.1%})",
        f"{found['p_value_holm']:.2g}",
        "" if shadow_auc is None else f"{shadow_auc:.3f}",
    ]


def format_markdown(record: dict) -> str:
    lines = ["# Attacks on the table and on the model itself", ""]
    lines += [f"- {key}: {record[key]}" for key in ("command", "commit", "device", "wall_seconds")]
    for name, result in record["audits"].items():
        model = result["whitebox"]
        lines += ["", f"## {name}", "", f"- {result['members']} {result['unit']}s a side"]
        lines += [f"- table: {result['verdict']}; model: {model['verdict']}"]
        lines += [f"- {model['shadow_models']} shadow models, {model['noises']} noises", ""]
        rows = [list_cells(k, "table", v, None) for k, v in result["attacks"].items()]
        known = model["shadow_auc"]
        rows += [list_cells(k, "model", v, known.get(k)) for k, v in model["attacks"].items()]
        lines += format_rows(COLUMNS, rows, left=2)
    return "\n".join(lines) + "\n"


def run(run_dir: Path) -> None:
    started = time.monotonic()
    config = build_config()
    config = replace(config, train=replace(config.train, max_epochs=ENDLESS))
    spec = describe_data()
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    ids = parts["train"][schema.entity] if schema.entity else parts["train"].index.to_series()
    chosen = np.random.default_rng(spec["split_seed"]).permutation(ids.unique())[: FLAGS.cohort]
    parts["train"] = parts["train"][ids.isin(chosen)].reset_index(drop=True)
    options = {"config": config, "folder": run_dir, "max_visits": spec["max_visits"]}
    model = fit(parts["train"], schema, **options)
    parts["synthetic"] = model.sample(count_records(parts["train"], schema))
    result = audit(**parts, schema=schema, whitebox=attack_with_flags(model, parts["reference"]))
    audits = {Path(d).name: json.loads((Path(d) / "audit.json").read_text()) for d in FLAGS.compare}
    audits[f"{FLAGS.cohort} patients, {config.train.num_steps} steps"] = result
    seeds = {"train": config.train.seed, "split": spec["split_seed"]}
    facts = describe_run(config=config.to_json(), data_hash=hash_frame(df), seeds=seeds)
    record = {
        **describe_origin(facts, "--compare"),
        **{key: facts[key] for key in ("config", "seeds", "data_sha256")},
        "wall_seconds": round(time.monotonic() - started),
        "audits": {name: redact(found) for name, found in audits.items()},
    }
    no_curves = {"object_hook": lambda found: {k: v for k, v in found.items() if k != "roc"}}
    slim = json.loads(json.dumps(record), **no_curves)
    write_record(run_dir / "record.json", slim, format_markdown(record))


if __name__ == "__main__":
    run_script(run, define_flags)
