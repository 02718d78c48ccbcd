"""Kills train, sample, evaluate and release at random moments, and lets each end at last.

    PYTHONPATH=.:experiments python tests/kill_scripts.py FOLDER [SEED]

Runs the scripts' own stages on a small table, each in a fork made before JAX starts. Prints one
JSON object: kills by stage, how many struck a living process, and what went wrong.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import audit
import evaluate
import jax
import numpy as np
import pandas as pd
import pipeline
import release
import sample
import train
from absl import flags

import synthdiff.eval.release
from synthdiff.train.metrics import read_metrics

STAGES = {"train": train.train, "sample": sample.sample, "evaluate": evaluate.run_evaluation,
          "audit": audit.run_audit, "release": release.run_release}  # fmt: skip
KILLS = {"train": 5, "sample": 10, "evaluate": 10, "audit": 0, "release": 10}
MORE_TRAININGS = 3  # of 5 kills each: 50 kills in all
TINY = ["--model.name=mlp", "--model.hidden=32", "--model.depth=1", "--model.width=4",
        "--train.num_steps=20", "--train.batch_size=64", "--train.steps_per_call=2",
        "--train.checkpoint_every=4", "--sampler.num_steps=4"]  # fmt: skip


def make_table(path):
    rng = np.random.default_rng(0)
    columns = {
        "patient": [f"P{i:04d}" for i in range(300)],
        "age": rng.integers(18, 90, 300),
        "sex": rng.choice(["F", "M"], 300),
        "cost": np.where(rng.random(300) < 0.4, 0.0, rng.lognormal(4, 1, 300).round(2)),
        "died": rng.random(300) < 0.3,
    }
    pd.DataFrame(columns).to_csv(path, index=False)


def start(folder, name):
    """The stage in a process of its own, which says in a file what stopped it."""
    pid = os.fork()
    if pid:
        return pid
    status = 0
    try:
        with open(folder.with_suffix(f".{name}.txt"), "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        STAGES[name](folder)
    except SystemExit as end:  # a refusal of the release is an end, too
        status = end.code if isinstance(end.code, int) else 4
    except BaseException:
        traceback.print_exc()
        status = 4
    sys.stdout.flush()
    os._exit(status)


def finish(folder, name):
    return os.waitstatus_to_exitcode(os.waitpid(start(folder, name), 0)[1])


def look(folder):
    """All files of a run as they have to be, however often it was stopped; times aside."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if name.startswith("checkpoints/") or name == ".lock" or path.suffix == ".tmp":
            continue
        found[name] = path.read_bytes()
    manifest = json.loads(found.pop("manifest.json", b"{}"))
    found["manifest"] = {k: v for k, v in manifest.items() if k not in ("created", "git_revision")}
    sums = found.pop("SHA256SUMS", b"").decode().splitlines()
    found["sums"] = [line for line in sums if not line.endswith("manifest.json")]
    found["log"] = [{k: v for k, v in row.items() if k != "rate"}
                    for row in read_metrics(folder / "metrics.jsonl")]  # fmt: skip
    # The card states when the run was made.
    return {k: v for k, v in found.items() if k not in ("metrics.jsonl", "release/card.md")}


def kill_often(folder, name, kills, seconds, rng, wanted):
    """Starts and kills a stage; then it must end as it did where nobody killed it."""
    wrong, struck = [], 0
    before = look(folder) if folder.exists() else {}
    earlier = {k: v for k, v in before.items() if k not in ("sums", "manifest", "log")}
    for _ in range(kills):
        pid = start(folder, name)
        time.sleep(rng.uniform(0.0, seconds))
        os.kill(pid, signal.SIGKILL)
        struck += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        now = look(folder) if folder.exists() else {}
        lost = [k for k, v in earlier.items() if now.get(k) != v and not k.startswith("release/")]
        wrong += [f"{name}: {k} of an earlier stage was lost" for k in lost]
    if finish(folder, name) not in (0, 1):
        said = folder.with_suffix(f".{name}.txt").read_text()[-1500:]
        return [*wrong, f"{name}: does not end: {said}"], struck
    now = look(folder)
    wrong += [f"{name}: {k} differs" for k in wanted | now if now.get(k) != wanted.get(k)]
    return wrong, struck


def main(root, seed):
    jax.config.update("jax_compilation_cache_dir", str(root / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    make_table(root / "visits.csv")
    flags.DEFINE_string("run_dir", None, "unused")
    pipeline.define_flags()
    release.define_flags()
    data = [f"--data={root / 'visits.csv'}", "--entity=patient", "--target=died", "--sensitive=sex"]
    flags.FLAGS(["kill_scripts", *data, *TINY])
    synthdiff.eval.release.evaluate_policy = lambda audit: []  # else nothing would be written
    seconds, wanted = {}, {}
    for _ in range(2):  # the second time nothing is compiled
        for name in STAGES:
            started = time.monotonic()
            status = finish(root / "whole", name)
            seconds[name] = time.monotonic() - started
            assert status in (0, 1), (root / f"whole.{name}.txt").read_text()
            wanted.setdefault(name, look(root / "whole"))
    result = {"kills": dict.fromkeys(KILLS, 0), "struck": 0, "wrong": []}
    rng = np.random.default_rng(seed)
    chains = [("killed", name) for name in STAGES]
    chains += [(f"killed{i}", "train") for i in range(MORE_TRAININGS)]
    for folder, name in chains:
        wrong, struck = kill_often(
            root / folder, name, KILLS[name], seconds[name], rng, wanted[name]
        )
        result["kills"][name] += KILLS[name]
        result["struck"] += struck
        result["wrong"] += wrong
    print(json.dumps(result | {"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
