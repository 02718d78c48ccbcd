"""Quality against the number of network evaluations, for every sampler of a trained run.

    python experiments/benchmark_few_steps.py --run_dir=runs/quickstart --nfe=4,8,16,32,64

A sampler gets the most steps that stay within each NFE. Scores: shape and trend in percent against
the training rows, and the detection AUC against held-out rows of other patients (0.5 is best).
Records per second are of `Synthesizer.sample`, without compilation. "front": no other row is both
faster and as good; a row is as good if its AUC is as low.
"""

import time
from pathlib import Path

import jax
from _common import FLAGS, define_numbers, run_script
from _data import read_data, split_table
from _results import define_record_flag
from _sampling_times import fit_steps
from _scores import mark_front
from _stages import read_manifest
from _tables import report
from absl import flags

from synthdiff import load
from synthdiff._validate import input_error
from synthdiff.data.conform import conform
from synthdiff.diffusion.samplers import SAMPLERS, SamplerConfig
from synthdiff.eval.detection import detection_auc
from synthdiff.eval.fidelity import evaluate_fidelity


def score(model, sampler: SamplerConfig, parts: dict, schema) -> dict:
    """One row: how fast the sampler is and how good its table."""
    model.sample(1, sampler=sampler)  # compiles
    started = time.perf_counter()
    table = model.sample(FLAGS.num_rows, seed=FLAGS.sample_seed, sampler=sampler)
    seconds = time.perf_counter() - started
    table = conform(table, schema)
    fidelity = evaluate_fidelity(parts["train"], parts["test"], table, schema)
    found = detection_auc(parts["test"], table, schema, FLAGS.sample_seed)
    if "skipped" in found:
        raise input_error("--num_rows", found["skipped"], "draw more rows")
    trend = fidelity["trend"]  # a table of one column has none
    return {
        **{"sampler": sampler.name, "nfe": sampler.nfe, "records_per_s": FLAGS.num_rows / seconds},
        **{"shape": fidelity["shape"], "trend": None if isinstance(trend, dict) else trend},
        "fidelity_loss": 100 - fidelity["rate"],
        **{"detection_auc": found["value"], "lower": found["lower"], "upper": found["upper"]},
    }


def define_flags() -> None:
    flags.DEFINE_list("samplers", list(SAMPLERS), "samplers to compare")
    define_numbers("nfe", "4,8,16,32,64", "most network evaluations per record")
    flags.DEFINE_integer("num_rows", 4096, "synthetic rows that are scored")
    flags.DEFINE_integer("sample_seed", 0, "seed of the synthetic rows")
    define_record_flag("few_steps.json")


def benchmark(run_dir: Path) -> None:
    started, model, spec = time.time(), load(run_dir), read_manifest(run_dir)["data"]
    df, schema = read_data(spec)
    parts, rows = split_table(df, schema, spec["split_seed"]), []
    for samplers in [[fit_steps(name, int(nfe)) for nfe in FLAGS.nfe] for name in FLAGS.samplers]:
        for sampler in samplers:
            rows.append(score(model, sampler, parts, schema))
            print(rows[-1], flush=True)
        jax.clear_caches()
    floor = evaluate_fidelity(parts["train"], parts["test"], parts["test"], schema)["floor"]
    facts = {"dataset": spec["data"], "num_rows": FLAGS.num_rows, "model": model.config.model.name}
    facts |= {"floor of shape": floor["shape"], "floor of trend": floor["trend"]}
    facts["wall_seconds"] = round(time.time() - started)
    tables = {"scores": mark_front(rows)}
    report(run_dir / "few_steps.json", "Quality against evaluations", facts, tables)


if __name__ == "__main__":
    run_script(benchmark, define_flags)
