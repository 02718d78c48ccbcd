"""Guards against getting slow: ratios and counts, no seconds, with bounds far from what is normal.

Seconds are the least of several interleaved runs, so that a busy machine slows both sides alike.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from _cases import build_model, encode_cohort, make_advance, make_sampling
from _timing import count_flops, count_gradient, fit_slope, make_evaluation

from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.models.config import ModelConfig
from synthdiff.synthesizer import Config, TrainConfig

WIDTHS = (64, 256, 1024)
SCAN_STEPS, SCAN_BOUND, UNET_BOUND = 20, 1.5, 6.0


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


def test_many_steps_in_one_dispatch_are_not_slower_than_one_by_one():
    data, codec = encode_cohort(8)
    model = ModelConfig("mlp", width=4, hidden=8)
    config = Config(model, train=TrainConfig(batch_size=16, num_steps=100))
    many = make_advance(config, data, codec.layout, SCAN_STEPS)
    one = make_advance(config, data, codec.layout, 1)

    def singly():
        return [jax.block_until_ready(one()) for _ in range(SCAN_STEPS)]

    def slow():  # what a loop that lost its scan would cost: each step is dispatched twice
        return singly(), singly()

    together, apart, broken = least_seconds([many, singly, slow])
    assert together / apart < SCAN_BOUND
    assert broken / apart > SCAN_BOUND


@pytest.fixture(scope="module")
def samplers():
    """Compiled samplers of three networks on equal records."""
    codec = encode_cohort(64)[1]
    models = {"mlp": ModelConfig("mlp"), "unet": ModelConfig("unet"),
              "huge": ModelConfig("unet", width=256, max_width=2048)}  # fmt: skip
    compiled = {}
    for name, model in models.items():
        fn, args = make_sampling(
            build_model(codec, Config(model)), SamplerConfig("ddim", 3), block=128
        )
        compiled[name] = (jax.jit(fn), args)
    return [lambda fn=fn, args=args: fn(*args) for fn, args in compiled.values()]


def test_the_unet_samples_about_as_fast_as_the_mlp(samplers):
    mlp, unet, huge = least_seconds(samplers, repeats=5)
    assert unet / mlp < UNET_BOUND
    assert huge / mlp > UNET_BOUND


@pytest.mark.parametrize("name", ["mlp", "unet"])
def test_arithmetic_is_linear_in_columns(name):
    layouts = [encode_cohort(codes)[1].layout for codes in WIDTHS]
    config = Config(ModelConfig(name))
    forwards = [count_flops(*_flat(make_evaluation(config, layout, 16))) for layout in layouts]
    backwards = [count_gradient(config, layout, 16) for layout in layouts]
    assert fit_slope(WIDTHS, forwards) < 1.1 and fit_slope(WIDTHS, backwards) < 1.1


def test_arithmetic_over_pairs_of_columns_is_seen():
    def attend(h):
        return jnp.einsum("btd,bsd->bts", h, h)

    pairs = [count_flops(attend, jnp.zeros((2, width, 4))) for width in WIDTHS]
    assert fit_slope(WIDTHS, pairs) > 1.8


def _flat(case):
    fn, args = case
    return fn, *args


def test_memory_is_linear_in_columns():
    sizes = []
    for codes in WIDTHS[:2]:
        evaluate, args = make_evaluation(Config(), encode_cohort(codes)[1].layout, 64)

        def total(params, *rest, evaluate=evaluate):
            return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(evaluate(params, *rest)))

        program = jax.jit(jax.grad(total)).lower(*args).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert 0.7 < fit_slope(WIDTHS[:2], sizes) < 1.15
