"""How often the audit cries wolf: real rows of other patients stand in for the synthetic table.

    python experiments/validate_audit.py --data=rand_hie --split_seeds=100:120 \\
        --record=experiments/results/null_splits.json

Per split the patients fall into train, test, reference and "synthetic"; nothing is learnt, so every
rejection is false. The planted leaks of the same audits say what would have been found.
"""

import time
from pathlib import Path

import faiss
import numpy as np
from _common import FLAGS, run_script
from _data import define_data_flags, describe_data, read_data
from _results import define_record_flag, describe_origin, locate_record, write_record
from absl import flags

from synthdiff.data.split import split_frame
from synthdiff.eval.audit import audit_membership
from synthdiff.eval.controls import ALPHA
from synthdiff.eval.game import set_up_game
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.statistics import clopper_pearson

SHARES = {"train": 0.4, "test": 0.2, "reference": 0.2, "synthetic": 0.2}


def audit_split(df, schema, seed: int) -> dict:
    """p-values, verdict and controls of the audit of one split in which nothing was learnt."""
    tables = split_frame(df, schema.entity, SHARES, seed)
    rngs = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    game = set_up_game(tables, schema, rngs[0])
    found, _ = audit_membership(game, tables, schema, rngs)
    tests = {name: attack["p_value"] for name, attack in found["attacks"].items()}
    for stratum, result in found["strata"].items():
        for name, attack in result.get("attacks", {}).items():
            tests[f"{name}, {stratum}"] = attack["p_value"]
    return {
        "seed": seed,
        "patients": game.patients,
        "verdict": found["verdict"],
        "reasons": found["reasons"],
        "p_values": tests | {"copies": found["copies"]["p_value"]},
        "auc": {name: attack["auc"]["value"] for name, attack in found["attacks"].items()},
        "leaks_found": {k: found["controls"][k]["detected"] for k in ("leak", "leak_small")},
    }


def rate_events(splits: list[dict]) -> dict:
    """Share of splits, with exact intervals, in which each test and the audit were wrong."""

    def share(hits: list[bool]) -> dict:
        return {"count": sum(hits)} | clopper_pearson(sum(hits), len(hits))

    names = splits[0]["p_values"]
    rates = {n: share([bool(s["p_values"][n] < ALPHA) for s in splits]) for n in names}
    for verdict in ("LEAK DETECTED", "INVALID", "INCONCLUSIVE", "NO LEAK DETECTED"):
        rates[f"verdict {verdict}"] = share([s["verdict"] == verdict for s in splits])
    for leak in splits[0]["leaks_found"]:
        rates[f"planted {leak} found"] = share([s["leaks_found"][leak] for s in splits])
    return rates


def define_flags() -> None:
    flags.DEFINE_string("split_seeds", "100:120", "first:last split seed, the last left out")
    define_record_flag("null_splits.json")


def validate(run_dir: Path) -> None:
    faiss.omp_set_num_threads(1)
    started, (first, last) = time.monotonic(), map(int, FLAGS.split_seeds.split(":"))
    path = locate_record(run_dir / "null_splits.json")
    df, schema = read_data(describe_data())
    splits = [audit_split(df, schema, seed) for seed in range(first, last)]
    record = describe_origin() | {"data": FLAGS.data, "shares": SHARES}
    record |= {"wall_seconds": round(time.monotonic() - started), "rates": rate_events(splits)}
    lines = [f"# Audits of {FLAGS.data} in which nothing was learnt", ""]
    lines += [f"{len(splits)} splits, {splits[0]['patients']} patients a side, level {ALPHA}.", ""]
    rows = [
        [name, str(r["count"]), f"{r['value']:.3f}", f"{r['lower']:.3f} to {r['upper']:.3f}"]
        for name, r in record["rates"].items()
    ]
    lines += format_rows(["event", "splits", "share", "95% interval"], rows)
    write_record(path, record | {"splits": splits}, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run_script(validate, define_data_flags, define_flags)
