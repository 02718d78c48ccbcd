"""How long, how fast and how large: what the speed benchmarks measure, and against what.

Arithmetic is counted by XLA on the network alone, which has no loop: its cost analysis counts the
body of a loop once, however often it runs. Peak and bandwidth are measured in the same process.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.layout import Layout, Records
from synthdiff.models.config import make_network

ENOUGH_S = 0.05  # a call that takes this long hides what its dispatch costs
LARGEST_MATRIX, LARGEST_ARRAY = 16_384, 2**28


def measure_calls(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds of the first call, and median and 95th percentile of `repeats` later ones."""
    seconds = [time_wall(call) for _ in range(1 + repeats)]
    p50, p95 = np.quantile(seconds[1:], [0.5, 0.95])
    return {"first_s": seconds[0], "p50_s": float(p50), "p95_s": float(p95)}


def take_turns(calls: Sequence[Callable[[], float]], rounds: int) -> np.ndarray:
    """What calls that time themselves return, [rounds, calls]: every other round goes backwards.

    So what a busy machine costs is shared by all, and a ratio is of one round. A round before
    warms up.
    """
    found = np.zeros((rounds, len(calls)))
    for turn in range(-1, rounds):  # the first is overwritten
        for j in range(len(calls))[:: -1 if turn % 2 else 1]:
            found[turn, j] = calls[j]()
    return found


def time_wall(call: Callable[[], object]) -> float:
    """Seconds of the clock until the call's result is there."""
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started


def take_range(values: np.ndarray) -> dict[str, float]:
    """Their median between the lowest and the highest."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return {"value": float(middle), "lower": float(low), "upper": float(high)}


def compile_program(fn: Callable, *args: object) -> tuple[jax.stages.Compiled, dict[str, float]]:
    """The program of fn(*args) on one device, and the seconds that tracing and compiling took."""
    started = time.perf_counter()
    lowered = jax.jit(fn).lower(*args)
    traced = time.perf_counter()
    compiled = lowered.compile()
    times = {"trace_s": traced - started, "compile_s": time.perf_counter() - traced}
    return compiled, times


def measure_peak(dtype: str = "float32") -> float:
    """FLOP/s of a square matrix product (2 n^3 operations), n doubled until a call is long.

    Of random numbers: some chips multiply constants faster.
    """
    n, best, product = 1024, 0.0, jax.jit(jnp.dot)
    while True:
        a = jax.random.normal(jax.random.key(0), (n, n), dtype)
        seconds = measure_calls(lambda a=a: product(a, a), 5)["p50_s"]
        best = max(best, 2.0 * n**3 / seconds)
        if seconds > ENOUGH_S or n == LARGEST_MATRIX:
            return best
        n *= 2


def measure_bandwidth() -> float:
    """Bytes/s of a triad a + 2 b: two arrays read and one written, far larger than any cache."""
    size, triad = 2**25, jax.jit(lambda a, b: a + 2.0 * b)
    while True:
        a, b = jnp.ones(size), jnp.zeros(size)
        seconds = measure_calls(lambda a=a, b=b: triad(a, b), 5)["p50_s"]
        if seconds > ENOUGH_S or size == LARGEST_ARRAY:
            return 3.0 * a.nbytes / seconds
        size *= 2


def describe_limits(dtype: str) -> dict[str, float]:
    """What this machine can do at most, as measured now."""
    return {"peak_flops": measure_peak(dtype), "bandwidth": measure_bandwidth()}


def lower_for_counts(fn: Callable, *args: object) -> jax.stages.Lowered:
    """fn(*args) for the CPU, wherever it will run: XLA counts no costs for plug-in devices."""
    try:
        (cpu, *_) = jax.local_devices(backend="cpu")
    except RuntimeError as error:
        fix = "leave it unset, or name the CPU last: cuda,cpu"
        raise input_error("JAX_PLATFORMS", "leaves out the CPU, which counts", fix) from error
    with jax.default_device(cpu):
        return jax.jit(fn).lower(*args)


def count_flops(fn: Callable, *args: object) -> float:
    """Floating-point operations of fn(*args) by XLA; refuses a loop, whose body counts once."""
    lowered = lower_for_counts(fn, *args)
    if "stablehlo.while" in lowered.as_text():
        raise ValueError("count_flops: the program has a loop. Fix: count its body, times its runs")
    return float(lowered.cost_analysis()["flops"])


def make_evaluation(config: Config, layout: Layout, batch: int) -> tuple[Callable, tuple]:
    """`evaluate(network_params, *args)` and (network_params, *args): one network evaluation.

    Everything is abstract: shapes to count and to compile with, no array.
    """
    init_fn, apply_fn = make_network(config.model, layout)
    params = jax.eval_shape(init_fn, jax.random.key(0))["network"]
    shapes = (batch, layout.num_continuous), (batch, layout.num_categorical)
    visible = Records(*(jax.ShapeDtypeStruct(s, d) for s, d in zip(shapes, "fi", strict=True)))
    known = Records(*(jax.ShapeDtypeStruct(s, bool) for s in shapes))
    return apply_fn, (params, visible, jax.ShapeDtypeStruct((batch,), "f"), known)


def make_gradient(config: Config, layout: Layout, batch: int) -> tuple[Callable, tuple]:
    """fn and args, all abstract: the network forwards and backwards, as in one training step."""
    apply_fn, args = make_evaluation(config, layout, batch)

    def total(params, *rest):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(apply_fn(params, *rest)))

    return jax.value_and_grad(total), args


def count_gradient(config: Config, layout: Layout, batch: int) -> float:
    """FLOP of the network forwards and backwards: the arithmetic of one training step."""
    fn, args = make_gradient(config, layout, batch)
    return count_flops(fn, *args)


def count_bytes(fn: Callable, *args: object) -> float:
    """Bytes that the program compiled for a CPU moves by XLA's estimate, which knows no cache."""
    return float(lower_for_counts(fn, *args).compile().cost_analysis()["bytes accessed"])


def reset_host_peak() -> float:
    """Starts a new peak of this process's memory where Linux allows it; bytes held now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return read_host_peak()


def read_host_peak() -> float:
    """Peak resident bytes of this process since `reset_host_peak`, or since its start."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def list_programs() -> list:
    """The compiled programs that this process holds."""
    return list(jax.local_devices()[0].client.live_executables())


def read_program_memory(before: list) -> int | None:
    """Bytes that the largest program compiled since `before` takes on each device.

    before: from `list_programs`. None where nothing was compiled since.
    """
    found = [program for program in list_programs() if all(program is not old for old in before)]
    return max((sum_memory(program.get_compiled_memory_stats()) for program in found), default=None)


def sum_memory(stats: object) -> int:
    """Arguments, results in memory of their own and working memory of a program, in bytes."""
    results = stats.output_size_in_bytes - stats.alias_size_in_bytes
    return stats.argument_size_in_bytes + results + stats.temp_size_in_bytes


def fit_slope(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Exponent s of y ~ x^s by least squares in logarithms: 1 is linear, 2 quadratic.

    None where something is 0, such as memory that did not grow: it has no logarithm.
    """
    if min(*x, *y) <= 0:
        return None
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def share_of_dispatch(steps: Sequence[int], step_s: Sequence[float], default: int) -> dict:
    """What a dispatch costs, as facts: step_s = a + b / steps by least squares.

    The share is that of b / default in a step at `default` steps per dispatch. Nothing where only
    one number of steps was timed.
    """
    if len(set(steps)) < 2:
        return {}
    dispatch, step = np.polyfit(1.0 / np.asarray(steps), step_s, 1)
    share = dispatch / default / (step + dispatch / default)
    name = f"share of dispatch at {default} steps per call"
    return {"seconds per dispatch, fitted": float(dispatch), name: float(share)}
