"""Seconds until a script is done with one row: without, with a new and with a filled program cache.

    python experiments/benchmark_startup.py --run_dir=runs/quickstart

Each row is a process of its own: `import synthdiff`, and sample.py for one row of a trained run.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import FLAGS, run_script
from _results import define_record_flag
from _tables import report
from absl import flags


def time_process(*command: str) -> float:
    """Seconds of a Python process; raises CalledProcessError if it fails."""
    started = time.perf_counter()
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def define_flags() -> None:
    flags.DEFINE_integer("repeats", 3, "processes of each kind", lower_bound=1)
    define_record_flag("startup.json")


def benchmark(run_dir: Path) -> None:
    started, found = time.time(), {}
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(__file__).with_name("sample.py"))
        sample = [script, f"--run_dir={run_dir}", "--num_rows=1", f"--out={folder}/one.csv"]
        for i in range(FLAGS.repeats):
            cache = f"--compilation_cache={folder}/{i}"
            processes = {
                "import synthdiff": ("-c", "import synthdiff"),
                "sample, no cache": (*sample, "--compilation_cache="),
                "sample, new cache": (*sample, cache),
                "sample, filled cache": (*sample, cache),
            }
            for name, command in processes.items():
                found.setdefault(name, []).append(time_process(*command))
        kept = sum(path.stat().st_size for path in Path(folder, "0").rglob("*") if path.is_file())
    rows = [{"process": name, "run": i + 1, "seconds": seconds}
            for name, times in found.items() for i, seconds in enumerate(times)]  # fmt: skip
    facts = {f"median seconds, {name}": float(np.median(s)) for name, s in found.items()}
    facts |= {"bytes of one cache": kept, "wall_seconds": round(time.time() - started)}
    report(run_dir / "startup.json", "Time to start", facts, {"processes": rows})


if __name__ == "__main__":
    run_script(benchmark, define_flags)
