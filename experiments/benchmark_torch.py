"""The same plain regression in JAX and in PyTorch: what the framework costs, not what a model does.

    pip install torch; python experiments/benchmark_torch.py --batches=256,4096

A residual perceptron predicts its own noisy input by mean squared error and plain Adam, from equal
weights, on equal batches and threads. PyTorch runs eagerly, one step per call; JAX one step and
--steps steps per dispatch. The losses after the same steps must agree within 1%, or it stops. The
arms take turns for --repeats rounds, every other one backwards: steps_per_s is the median, and
times_torch the median and range over rounds of how many times PyTorch's steps an arm makes in the
same round. On a GPU both take TensorFloat-32 products.
"""

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
from _common import FLAGS, define_numbers, run_script
from _results import define_record_flag
from _tables import report
from _timing import take_range, take_turns, time_wall
from _torch_arms import (
    draw_batches,
    draw_weights,
    import_torch,
    make_jax_steps,
    make_torch_steps,
)
from absl import flags


def compare(torch, batch: int) -> list[dict]:
    """One row per arm."""
    weights = draw_weights(FLAGS.width, FLAGS.hidden, FLAGS.depth)
    batches = draw_batches(FLAGS.steps, batch, FLAGS.width)
    arms = {
        "torch eager": lambda: make_torch_steps(torch, weights, batches),
        "jax, 1 step per call": lambda: make_jax_steps(weights, batches, 1),
        f"jax, {FLAGS.steps} steps per call": lambda: make_jax_steps(weights, batches, FLAGS.steps),
    }
    advances = {arm: make() for arm, make in arms.items()}
    first = {}
    for arm, advance in advances.items():
        started = time.perf_counter()
        first[arm] = {"loss": float(advance()), "first_s": time.perf_counter() - started}
    losses = [found["loss"] for found in first.values()]
    if max(losses) > 1.01 * min(losses):
        raise RuntimeError(f"the arms do not train alike: losses {losses}")
    calls = [partial(time_wall, advance) for advance in advances.values()]
    speeds = FLAGS.steps / take_turns(calls, FLAGS.repeats)
    rows = [
        {"arm": arm, "batch": batch, "first_s": first[arm]["first_s"]}
        | {"steps_per_s": float(np.median(speed)), "times_torch": take_range(speed / speeds[:, 0])}
        | {"loss": first[arm]["loss"]}
        for arm, speed in zip(arms, speeds.T, strict=True)
    ]
    print(*rows, sep="\n", flush=True)
    return rows


def define_flags() -> None:
    define_numbers("batches", "256,4096", "records per step")
    flags.DEFINE_integer("width", 64, "numbers per record")
    flags.DEFINE_integer("hidden", 512, "units per layer")
    flags.DEFINE_integer("depth", 2, "residual layers")
    flags.DEFINE_integer("steps", 100, "steps that are timed as one")
    flags.DEFINE_integer("repeats", 10, "timed rounds of all arms", lower_bound=1)
    define_record_flag("torch.json")


def benchmark(run_dir: Path) -> None:
    torch, started = import_torch(), time.time()
    torch.set_num_threads(os.cpu_count())  # as many as XLA takes
    rows = [row for batch in map(int, FLAGS.batches) for row in compare(torch, batch)]
    facts = {"torch": torch.__version__, "torch threads": torch.get_num_threads()}
    facts |= {"width": FLAGS.width, "hidden": FLAGS.hidden, "depth": FLAGS.depth}
    facts["wall_seconds"] = round(time.time() - started)
    report(run_dir / "torch.json", "A plain perceptron in two frameworks", facts, {"steps": rows})


if __name__ == "__main__":
    run_script(benchmark, define_flags)
