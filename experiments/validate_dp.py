"""Lower bounds on epsilon, from invented patients, beside what a private run claims.

    python experiments/validate_dp.py --epsilons=1,3,10 --patients=42911 --run_dir=runs/canaries

Every canary is in or out by a coin: one in each of many releases of histograms and pair tables,
and, where these leave budget for gradients, many in one training run with these flags. A bound
above the claim would show that limits, clipping, sampling or noise are broken; the tests break
them on purpose. One below shows no more than that (see eval/epsilon.py): beside it stand the bound
that the same audit finds where all is as claimed, and at a third of the noise.
"""

from dataclasses import replace
from pathlib import Path

import jax
from _canaries import audit_gradients
from _common import FLAGS, define_config_flags, read_config, run_script
from _results import describe_origin, write_record
from _table_canaries import audit_tables
from _tables import format_table
from absl import flags

from synthdiff.train.dp import DpConfig, draw_secret, plan_privacy
from synthdiff.train.optim import TrainConfig

ALPHA = 0.05  # chance that a record contradicts any true claim


def audit_run(
    dp: DpConfig,
    train: TrainConfig,
    patients: int,
    sizes: tuple[int, int],
    alpha: float,
    secret: int,
) -> list[dict]:
    """Claim and bounds of all that one private run releases. sizes: releases, and canaries."""
    plan = plan_privacy(dp, train, patients, jax.device_count() * train.accumulate)
    rows, (releases, canaries) = [], sizes
    alpha /= bool(plan.codec_sigma) + bool(plan.gradients)
    if plan.codec_sigma:
        rows += audit_tables(dp, plan, releases, alpha, secret)
    if plan.gradients:
        rows.append(audit_gradients(dp, plan.gradients, canaries, alpha, secret))
    return [{"epsilon of the run": dp.epsilon, **row} for row in rows]


def define_flags() -> None:
    define_config_flags("dp", DpConfig)
    define_config_flags("train", TrainConfig)
    flags.DEFINE_list("epsilons", ["1", "3", "10"], "claims, each a run of its own")
    flags.DEFINE_integer("patients", 10_000, "of the table, which sets the sampling rate")
    flags.DEFINE_integer("releases", 2000, "of histograms and pair tables", lower_bound=100)
    flags.DEFINE_integer("canaries", 2000, "invented patients of gradients", lower_bound=100)
    flags.DEFINE_string("record", None, "record file; default record.json in the run folder")


def validate(run_dir: Path) -> None:
    dp, train = read_config("dp", DpConfig), read_config("train", TrainConfig)
    sizes, alpha, rows = (FLAGS.releases, FLAGS.canaries), ALPHA / len(FLAGS.epsilons), []
    for epsilon in map(float, FLAGS.epsilons):
        run = replace(dp, epsilon=epsilon)
        found = audit_run(run, train, FLAGS.patients, sizes, alpha, draw_secret(None))
        print(*found, sep="\n", flush=True)
        rows += found
    record = {**describe_origin(), "confidence": 1 - ALPHA, "rows": rows}
    lines = ["# Canaries: lower bounds on epsilon beside the claim", "", f"    {record['command']}"]
    lines += ["", *format_table(rows)]
    write_record(run_dir / "record.json", record, "\n".join(lines) + "\n")
    if any(row["contradicted"] for row in rows):
        raise SystemExit("error: a claim is contradicted. Fix: publish nothing made with it")


if __name__ == "__main__":
    run_script(validate, define_flags)
