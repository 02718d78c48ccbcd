"""Times the audit by patients a side: the attacks on the table, and those on the model.

    python experiments/benchmark_audit.py --patients=1000,20000 --record=audit.json

The table is simulated, real rows stand in for synthetic ones, and the model has fresh weights: time
depends on neither. "table_s" are all of `audit` but the white box: attacks, strata, controls,
disclosure risks. "losses_s" measure every record of both sides under the model at 16 noise levels
and --noises noises each; "whitebox_s" are all attacks on the model: the same for each shadow model,
their training, and what is learnt from them. Compiling is counted.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from _cases import build_model
from _common import FLAGS, define_numbers, run_script
from _results import define_record_flag
from _tables import report
from _whitebox import Sizes, attack_model
from absl import flags

from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.data.sources.simulate import simulate_cohort
from synthdiff.eval.audit import audit
from synthdiff.exposure.measure import make_measure_losses
from synthdiff.layout import Records

PARTS = ("train", "test", "reference", "synthetic")


def time_audit(patients: int) -> dict:
    """Seconds of every part with so many patients a side."""
    cohort, schema, _ = simulate_cohort(len(PARTS) * patients, FLAGS.codes, 0)
    quarters = np.array_split(np.arange(len(cohort)), len(PARTS))
    tables = {
        part: cohort.iloc[rows].reset_index(drop=True)
        for part, rows in zip(PARTS, quarters, strict=True)
    }
    clock = [time.perf_counter()]
    verdict = audit(**tables, schema=schema, max_patients=patients)["verdict"]
    clock.append(time.perf_counter())
    model = build_model(Codec.fit(tables["train"], schema), Config())
    denoiser = model.config.make_denoiser(model.codec.layout)[1]
    of_model = make_measure_losses(denoiser, num_noises=FLAGS.noises)
    both = pd.concat([tables["train"], tables["test"]], ignore_index=True)
    records = Records(*model.codec.encode(both, np.random.default_rng(0)))
    losses = of_model(model.params, records)
    clock.append(time.perf_counter())
    sizes = Sizes(FLAGS.shadow_models, FLAGS.shadow_steps, FLAGS.noises)
    attack_model(model, tables["reference"], sizes, tables["train"], tables["test"])
    clock.append(time.perf_counter())
    seconds = zip(("table_s", "losses_s", "whitebox_s"), np.diff(clock).tolist(), strict=True)
    about = {"patients": patients, "noises": FLAGS.noises, "losses": int(losses[..., 0].size)}
    return about | dict(seconds) | {"verdict of the table": verdict}


def define_flags() -> None:
    define_numbers("patients", "1000,20000", "patients a side")
    flags.DEFINE_integer("codes", 20, "code columns of the simulated cohort")
    flags.DEFINE_integer("noises", 16, "fixed noises per level")
    flags.DEFINE_integer("shadow_models", 16, "shadow models")
    flags.DEFINE_integer("shadow_steps", 800, "training steps of each shadow model")
    define_record_flag("audit_speed.json")


def benchmark(run_dir: Path) -> None:
    rows, started = [], time.time()
    for patients in map(int, FLAGS.patients):
        rows.append(time_audit(patients))
        print(rows[-1], flush=True)
    facts = {"shadow models": FLAGS.shadow_models, "shadow steps": FLAGS.shadow_steps}
    facts["wall_seconds"] = round(time.time() - started)
    report(run_dir / "audit_speed.json", "Speed of the audit", facts, {"audit": rows})


if __name__ == "__main__":
    run_script(benchmark, define_flags)
