"""Releases a run's synthetic table if its audit passes the policy; otherwise says why not.

    python experiments/release.py --run_dir=runs/quickstart --accept_caution="inference of health"

Writes <run_dir>/release/ with the table, its SDV metadata, card, report and audit, or writes
<run_dir>/refusal.json and ends with exit code 1. A gate at CAUTION refuses too unless it is named
in --accept_caution (repeat the flag for more), which the card then says. A private run needs the
canaries of validate_dp.py, and is refused where they contradict its claim.
"""

import sys
from pathlib import Path

from _common import FLAGS, run_script
from _report import read_extras
from _stages import locked, read_manifest, read_run, read_stage
from absl import flags

from synthdiff._files import write_json
from synthdiff.eval.release import write_release
from synthdiff.eval.report import write_report
from synthdiff.train.metrics import read_metrics


@locked
def run_release(run_dir: Path) -> None:
    audit = read_stage(run_dir / "audit.json", "audit")
    tables, schema = read_run(run_dir)
    manifest, extras = read_manifest(run_dir), read_extras(run_dir)

    def write_page(path: Path, shown: dict) -> None:
        path_there = run_dir / "evaluation.json"
        evaluation = read_stage(path_there, "evaluate") if path_there.exists() else None
        training = read_metrics(run_dir / "metrics.jsonl")
        parts = {"evaluation": evaluation, "audit": shown, "training": training}
        write_report(path, manifest=manifest, schema=schema, **parts, **extras)

    folder, accept = run_dir / "release", FLAGS.accept_caution
    refusals = write_release(
        folder, audit, tables, schema, manifest, write_page, accept, extras["canaries"]
    )
    refused = run_dir / "refusal.json"
    refused.unlink(missing_ok=True)
    if refusals:
        write_json(refused, {"refused": refusals}, private=True)
        print("\n".join(["REFUSED, nothing was released:", *refusals]), file=sys.stderr)
        raise SystemExit(1)
    print(f"released: {', '.join(sorted(path.name for path in folder.iterdir()))} in {folder}")


def define_flags() -> None:
    flags.DEFINE_multi_string("accept_caution", [], "gate at CAUTION that you answer for")


if __name__ == "__main__":
    run_script(run_release, define_flags)
