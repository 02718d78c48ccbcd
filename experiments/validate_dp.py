"""Lower bounds on epsilon, from invented patients, beside what a private run claims.

    python experiments/validate_dp.py --run_dir=runs/private
    python experiments/validate_dp.py --epsilons=1,3,10 --patients=42911 --run_dir=runs/canaries

Of a finished run, by its own settings and number of patients, for report, card and release.py; or
of settings that flags name. Every canary is in or out by a coin: one in each of many releases of
histograms and pair tables, and, where these leave budget for gradients, many in one training run.
A bound above the claim would show that limits, clipping, sampling or noise are broken; the tests
break them on purpose. One below shows no more than that (see eval/epsilon.py): beside it stand the
bound that the same audit finds where all is as claimed, and at a third of the noise.
"""

from pathlib import Path

from _canaries import audit_gradients
from _claims import Claim, define_claim_flags, list_claims
from _common import FLAGS, run_script
from _results import define_record_flag, describe_origin, locate_record, write_record
from _stages import locked
from _table_canaries import audit_tables
from _tables import format_table
from absl import flags

from synthdiff._files import seal
from synthdiff.train.dp import draw_secret

ALPHA = 0.05  # chance that a record contradicts any true claim
RECORD = "canaries.json"


def audit_run(claim: Claim, sizes: tuple[int, int], alpha: float, secret: int) -> list[dict]:
    """Claim and bounds of all that one private run releases. sizes: releases, and canaries."""
    (dp, plan), (releases, canaries), rows = claim, sizes, []
    alpha /= bool(plan.codec_sigma) + bool(plan.gradients)
    if plan.codec_sigma:
        rows += audit_tables(dp, plan, releases, alpha, secret)
    if plan.gradients:
        rows.append(audit_gradients(dp, plan.gradients, canaries, alpha, secret))
    return [{"epsilon of the run": dp.epsilon, **row} for row in rows]


def define_flags() -> None:
    define_claim_flags()
    flags.DEFINE_integer("releases", 2000, "of histograms and pair tables", lower_bound=100)
    flags.DEFINE_integer("canaries", 2000, "invented patients of gradients", lower_bound=100)
    define_record_flag(RECORD)


@locked
def validate(run_dir: Path) -> None:
    """Writes the record, with the account of the run whose claim it tests."""
    path, (claims, account) = locate_record(run_dir / RECORD), list_claims(run_dir)
    sizes, alpha, rows = (FLAGS.releases, FLAGS.canaries), ALPHA / len(claims), []
    for claim in claims:
        found = audit_run(claim, sizes, alpha, draw_secret(None))
        print(*found, sep="\n", flush=True)
        rows += found
    record = {**describe_origin(), "confidence": 1 - ALPHA, "account": account, "rows": rows}
    lines = ["# Canaries: lower bounds on epsilon beside the claim", "", f"    {record['command']}"]
    lines += ["", *format_table(rows)]
    write_record(path, record, "\n".join(lines) + "\n")
    if path.parent == run_dir:
        seal(run_dir, path.name)
    if any(row["contradicted"] for row in rows):
        raise SystemExit("error: a claim is contradicted. Fix: publish nothing made with it")


if __name__ == "__main__":
    run_script(validate, define_flags)
