"""How often the audit cries wolf: real rows of other patients stand in for the synthetic table.

    python experiments/validate_audit.py --data=rand_hie --split_seeds=100:120 \\
        --record=experiments/results/null_splits.json

Per split the patients (values of the entity column) fall into train, test, reference and
"synthetic"; nothing is learnt, so every rejection is false. The planted leaks of the same audits
say what would have been found.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import faiss
from _common import FLAGS, read_range, run_script
from _data import define_data_flags, describe_data, read_data
from _results import define_record_flag, describe_origin, locate_record, write_record
from absl import flags

from synthdiff._progress import track
from synthdiff.data.split import split_frame
from synthdiff.eval.audit import audit
from synthdiff.eval.controls import ALPHA
from synthdiff.eval.disclosure import list_tested
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.statistics import clopper_pearson

SHARES = {"train": 0.4, "test": 0.2, "reference": 0.2, "synthetic": 0.2}


def audit_split(df, schema, seed: int) -> dict:
    """p-values, verdict and controls of the audit of one split in which nothing was learnt."""
    found = audit(**split_frame(df, schema.entity, SHARES, seed), schema=schema, seed=seed)
    tests, whole = name_tests(found), found.get("whole_patients", {})
    if "attacks" in whole:
        tests |= {f"{name}, whole patients": p for name, p in name_tests(whole).items()}
    return {
        "patients": found["members"],
        **{name: found[name] for name in ("seed", "unit", "verdict", "reasons")},
        "p_values": tests,
        "auc": {name: attack["auc"]["value"] for name, attack in found["attacks"].items()},
        "leaks_found": {k: found["controls"][k]["detected"] for k in ("leak", "leak_small")},
    }


def name_tests(found: Mapping) -> dict[str, float]:
    """The p-value of everything that counts for a verdict, before it is adjusted."""
    tests = {name: attack["p_value"] for name, attack in found["attacks"].items()}
    for stratum, result in found["strata"].items():
        for name, attack in result.get("attacks", {}).items():
            tests[f"{name}, {stratum}"] = attack["p_value"]
    risks = {name: risk["p_value"] for name, risk in list_tested(found["disclosure"]).items()}
    return tests | {"copies": found["copies"]["p_value"]} | risks


def rate_events(splits: list[dict]) -> dict:
    """Share of splits, with exact intervals, in which each test and the audit were wrong."""

    def share(hits: list[bool]) -> dict:
        return {"count": sum(hits)} | clopper_pearson(sum(hits), len(hits))

    names = dict.fromkeys(name for split in splits for name in split["p_values"])
    tried = {n: [s["p_values"][n] for s in splits if n in s["p_values"]] for n in names}
    rates = {n: share([bool(p < ALPHA) for p in found]) for n, found in tried.items()}
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
    started, seeds = time.monotonic(), read_range("split_seeds")
    path = locate_record(run_dir / "null_splits.json")
    df, schema = read_data(describe_data())
    splits = [audit_split(df, schema, seed) for seed in track(seeds, "audits", "audit")]
    record = describe_origin() | {"data": FLAGS.data, "shares": SHARES}
    record |= {"wall_seconds": round(time.monotonic() - started), "rates": rate_events(splits)}
    size = "{patients} {unit}s a side".format_map(splits[0])
    lines = [f"# Audits of {FLAGS.data} in which nothing was learnt", ""]
    lines += [f"{len(splits)} splits, {size}, level {ALPHA}.", ""]
    rows = [
        [name, str(r["count"]), f"{r['value']:.3f}", f"{r['lower']:.3f} to {r['upper']:.3f}"]
        for name, r in record["rates"].items()
    ]
    lines += format_rows(["event", "splits", "share", "95% interval"], rows)
    write_record(path, record | {"splits": splits}, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run_script(validate, define_data_flags, define_flags)
