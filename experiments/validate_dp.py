"""Lower bounds on epsilon, from invented patients, beside what a private run claims.

    python experiments/validate_dp.py --epsilons=1,3,10 --patients=42911 --dp.codec_share=0.3 \\
        --dp.tree_share=0 --train.num_steps=100 --train.batch_size=2048 --run_dir=runs/canaries

Every canary is in or out by a coin and asks the private step, as it would run with these flags, for
one thing. A bound above the claim would show that clipping, sampling or noise is broken; the tests
break them on purpose. One below shows no more than that (see eval/epsilon.py): beside it stand the
bound that the same audit finds where all is as claimed, and at a third of the noise. Histograms
and pair tables are not attacked here, only the gradients that codec and tree leave.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from _canaries import bound_by_plan, simulate_traces
from _common import FLAGS, define_config_flags, read_config, run_script
from _results import describe_origin, write_record
from _tables import format_table
from absl import flags

from synthdiff._validate import input_error
from synthdiff.data.batches import poisson_batches
from synthdiff.eval.epsilon import audit_claim
from synthdiff.train.canaries import run_canaries, score_canaries
from synthdiff.train.dp import DpConfig, draw_secret, plan_privacy
from synthdiff.train.optim import TrainConfig
from synthdiff.train.privacy_engine import compute_epsilon, make_event

ALPHA = 0.05


def audit_gradients(
    dp: DpConfig, train: TrainConfig, patients: int, canaries: int, secret: int
) -> dict:
    """Claim and bounds of the gradients of one private run; coins and noise are the secret's."""
    plan = plan_privacy(dp, train, patients, jax.device_count() * train.accumulate).gradients
    if plan is None:
        fix = "lower dp.codec_share or dp.tree_share"
        raise input_error("dp", "leaves no budget for gradients", fix)
    rng = np.random.default_rng([secret, 1])
    included = rng.random(canaries) < 0.5
    seed = (secret, 0)
    samples = poisson_batches(
        int(included.sum()), plan.rate, plan.capacity, seed, 0, plan.num_steps
    )
    started = time.monotonic()
    event = make_event(plan.sigma, plan.rate, plan.num_steps)
    claimed = compute_epsilon(event, dp.delta)

    def find_bound(traces: np.ndarray) -> float:
        scores, by_curve = score_canaries(traces, plan), partial(bound_by_plan, plan, dp.delta)
        found = [
            audit_claim(each, included, claimed, dp.delta, ALPHA / len(scores), by_curve)
            for each in scores.values()
        ]
        return max(bound for each in found for bound in each["lower_bounds"].values())

    bound = find_bound(run_canaries(dp, plan, samples, included, secret))
    return {
        "epsilon of the run": dp.epsilon,
        "epsilon of the gradients": claimed,
        "lower bound": bound,
        "contradicted": bool(bound > claimed),
        "bound if all is as claimed": find_bound(simulate_traces(plan, included, 1.0, rng)),
        "bound at a third of the noise": find_bound(simulate_traces(plan, included, 1 / 3, rng)),
        "noise multiplier": plan.sigma,
        "sampling rate": plan.rate,
        "steps": plan.num_steps,
        "canaries": canaries,
        "seconds": round(time.monotonic() - started, 1),
    }


def define_flags() -> None:
    define_config_flags("dp", DpConfig)
    define_config_flags("train", TrainConfig)
    flags.DEFINE_list("epsilons", ["1", "3", "10"], "claims, each a run of its own")
    flags.DEFINE_integer("patients", 10_000, "of the table, which sets the sampling rate")
    flags.DEFINE_integer("canaries", 2000, "invented patients", lower_bound=100)
    flags.DEFINE_string("record", None, "record file; default record.json in the run folder")


def validate(run_dir: Path) -> None:
    dp, train = read_config("dp", DpConfig), read_config("train", TrainConfig)
    rows = []
    for epsilon in map(float, FLAGS.epsilons):
        sizes = FLAGS.patients, FLAGS.canaries
        rows.append(audit_gradients(replace(dp, epsilon=epsilon), train, *sizes, draw_secret(None)))
        print(rows[-1], flush=True)
    record = {**describe_origin(), "confidence": 1 - ALPHA, "rows": rows}
    lines = ["# Canaries: lower bounds on epsilon beside the claim", "", f"    {record['command']}"]
    lines += ["", *format_table(rows)]
    write_record(run_dir / "record.json", record, "\n".join(lines) + "\n")
    if any(row["contradicted"] for row in rows):
        raise SystemExit("error: a claim is contradicted. Fix: publish nothing made with it")


if __name__ == "__main__":
    run_script(validate, define_flags)
