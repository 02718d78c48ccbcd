"""Attacks a synthetic table to see whether it tells who was in the training data.

    python experiments/audit.py --run_dir=runs/quickstart

Where rows are visits, whole patients are attacked beside their rows. With --whitebox also the model
itself, by someone who holds it. Any other generator's table: name
--train_csv, --test_csv, --reference_csv and --synthetic_csv.
"""

from pathlib import Path

from _attacks import attack_with_flags, define_attack_flags
from _cluster import define_cluster_flags, first_alone
from _common import FLAGS, run_script
from _data import define_role_flags
from _given import PARTS, alone, define_csv_flags, read_tables
from _stages import locked

from synthdiff._files import leave_private
from synthdiff.eval.audit import audit
from synthdiff.eval.policy import worst_status


def load_attack(run_dir: Path, reference):
    from synthdiff import load  # here, so that an audit of CSV files needs no JAX

    return attack_with_flags(load(run_dir), reference)


def print_attacks(block: dict) -> None:
    for name, attack in block["attacks"].items():
        auc, tpr = attack["auc"], attack["tpr_at_1pct_fpr"]["value"]
        print(f"  {name}: AUC {auc['value']:.3f} [{auc['lower']:.3f}, {auc['upper']:.3f}], "
              f"TPR at 1% FPR {tpr:.1%}, adjusted p {attack['p_value_holm']:.2g}")  # fmt: skip
    print("\n".join(f"  {reason}" for reason in block["reasons"]))


def attack_tables(run_dir: Path, tables: dict, schema, whitebox=None) -> dict:
    """Writes audit.json and prints the verdict."""
    options = {"whitebox": whitebox, "max_patients": FLAGS.max_patients}
    options["population"] = FLAGS.population
    result = audit(*(tables[part] for part in PARTS), schema, **options)
    leave_private(run_dir, "audit.json", result)
    print(f"{result['verdict']} ({result['members']} {result['unit']}s a side)")
    print_attacks(result)
    if whole := result.get("whole_patients"):
        print(f"whole patients, all their visits: {whole.get('verdict') or whole['skipped']}")
        print_attacks({"attacks": {}, "reasons": []} | whole)
    if whitebox:
        print(f"the model itself: {result['whitebox']['verdict']}")
        print_attacks(result["whitebox"])
    print(f"gates for a release, the worst at {worst_status(result['gates'])}:")
    for gate in result["gates"]:
        if gate["status"] != "PASS":
            print(f"  {gate['status']}, {gate['name']}: {gate['reason']}")
    return result


@locked
def run_audit(run_dir: Path) -> None:
    tables, schema = read_tables(run_dir, PARTS)
    whitebox = load_attack(run_dir, tables["reference"]) if FLAGS.whitebox else None
    attack_tables(run_dir, tables, schema, whitebox)


if __name__ == "__main__":
    run_script(
        first_alone(alone(run_audit, PARTS)),
        define_cluster_flags,
        define_role_flags,
        define_csv_flags,
        define_attack_flags,
    )
