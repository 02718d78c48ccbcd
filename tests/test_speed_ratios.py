"""Guards against getting slow: ratios and counts, no seconds, with bounds far from what is normal.

Seconds are the least of several interleaved runs, so that a busy machine slows both sides alike.
"""

import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from _cases import encode_cohort
from _timing import count_flops, count_gradient, fit_slope, make_evaluation

from synthdiff.config import Config
from synthdiff.models.config import ModelConfig
from synthdiff.train.parallel import make_parallel_train, to_devices

WIDTHS = (64, 192, 576)
SCAN_STEPS, SCAN_BOUND, UNET_BOUND = 50, 1.0, 5.0


def least_seconds(calls, repeats=7):
    """Seconds of each call, the least of its runs; all are called once before."""
    for call in calls:
        jax.block_until_ready(call())
    seconds = np.full((repeats, len(calls)), np.inf)
    for i in range(repeats):
        for j, call in enumerate(calls):
            started = time.perf_counter()
            jax.block_until_ready(call())
            seconds[i, j] = time.perf_counter() - started
    return seconds.min(axis=0)


def toy_step(state, data, rows, position):
    """A step as cheap as a dispatch, so that what a dispatch costs can be seen."""
    return jnp.tanh(state @ state) + data[rows].mean(), {"loss": state.mean()}


def test_many_steps_in_one_dispatch_are_not_slower_than_one_by_one():
    state, data = to_devices((jnp.eye(8), jnp.arange(100.0)))
    rows, run = np.zeros((SCAN_STEPS, 4), np.int32), make_parallel_train(toy_step)

    def singly(run=run):
        carry = state
        for k in range(SCAN_STEPS):
            carry, _ = run(carry, data, rows[k : k + 1])
        return carry

    def rebuilt():  # a loop that loses its program after every call
        return make_parallel_train(toy_step)(state, data, rows)

    together, apart, broken = least_seconds([lambda: run(state, data, rows), singly, rebuilt], 5)
    print("scan", together / apart, broken / apart)
    assert together / apart < SCAN_BOUND
    assert broken / apart > SCAN_BOUND


def test_the_unet_is_about_as_fast_as_the_mlp(layouts):
    """One network evaluation of each, which is what sampling repeats."""
    calls = []
    for model in (ModelConfig("mlp"), ModelConfig(), ModelConfig(width=256, max_width=2048)):
        evaluate, shapes = make_evaluation(Config(model), layouts[0], 64)
        args = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        calls.append(partial(jax.jit(evaluate), *args))
    mlp, unet, huge = least_seconds(calls, repeats=5)
    print("unet", unet / mlp, huge / mlp)
    assert unet / mlp < UNET_BOUND
    assert huge / mlp > UNET_BOUND


@pytest.fixture(scope="module")
def layouts():
    return [encode_cohort(codes)[1].layout for codes in WIDTHS]


@pytest.mark.parametrize("name", ["mlp", "unet"])
def test_arithmetic_is_linear_in_columns(name, layouts):
    config, forwards = Config(ModelConfig(name)), []
    for layout in layouts:
        evaluate, args = make_evaluation(config, layout, 16)
        forwards.append(count_flops(evaluate, *args))
    backwards = [count_gradient(config, layout, 16) for layout in layouts]
    assert fit_slope(WIDTHS, forwards) < 1.1 and fit_slope(WIDTHS, backwards) < 1.1


def test_arithmetic_over_pairs_of_columns_is_seen():
    def attend(h):
        return jnp.einsum("btd,bsd->bts", h, h)

    pairs = [count_flops(attend, jnp.zeros((2, width, 4))) for width in WIDTHS]
    assert fit_slope(WIDTHS, pairs) > 1.8


def test_memory_is_linear_in_columns(layouts):
    sizes = []
    for layout in layouts[:2]:
        evaluate, args = make_evaluation(Config(), layout, 64)

        def total(params, *rest, evaluate=evaluate):
            return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(evaluate(params, *rest)))

        program = jax.jit(jax.grad(total)).lower(*args).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert 0.7 < fit_slope(WIDTHS[:2], sizes) < 1.15
