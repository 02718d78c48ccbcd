"""Attacks a synthetic table to see whether it tells who was in the training data.

    python experiments/audit.py --run_dir=runs/quickstart

Any other generator's table: name --train_csv, --test_csv, --reference_csv and --synthetic_csv.
"""

from pathlib import Path

from _common import define_data_flags, run_script
from evaluate import define_flags, read_tables

from synthdiff.data.table import write_json
from synthdiff.eval.audit import audit
from synthdiff.eval.policy import worst_status


def run_audit(run_dir: Path) -> None:
    parts = ("train", "test", "reference", "synthetic")
    tables, schema = read_tables(run_dir, parts)
    result = audit(*(tables[part] for part in parts), schema)
    write_json(run_dir / "audit.json", result, private=True)
    print(f"{result['verdict']} ({result['members']} {result['unit']}s a side)")
    for name, attack in result["attacks"].items():
        auc = attack["auc"]
        print(f"  {name}: AUC {auc['value']:.3f} [{auc['lower']:.3f}, {auc['upper']:.3f}]")
    print("\n".join(f"  {reason}" for reason in result["reasons"]))
    print(f"gates for a release, the worst at {worst_status(result['gates'])}:")
    for gate in result["gates"]:
        if gate["status"] != "PASS":
            print(f"  {gate['status']}, {gate['name']}: {gate['reason']}")


if __name__ == "__main__":
    run_script(run_audit, define_data_flags, define_flags)
