"""Both denoisers over many layouts: shapes, dtypes, gradients and size."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthdiff._validate import InputError
from synthdiff.diffusion.denoiser import Denoiser
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout, Records
from synthdiff.models.config import (
    MAX_SCALE,
    ModelConfig,
    count_params,
    make_network,
    start_at_shares,
)
from synthdiff.models.records import order_waves

BATCH = 6
LAYOUTS = {
    "one_token": Layout(("x",), (0,), (), (), (-1,), (1,)),
    "odd": Layout(tuple("abcde"), (0, 1), (1, 2, 3, 4), (2, 3, 5, 7), (-1, 0), (1, 2)),
    "categorical": Layout(tuple("abc"), (), (0, 1, 2), (2, 2, 6), (), ()),
    "continuous": Layout(tuple("abcd"), (0, 1, 2, 3), (), (), (-1,) * 4, (1,) * 4),
    "ordered": Layout(
        tuple("abc"), (0,), (0, 1, 2), (3, 6, 7), (1,), (4,), ((), (0, 0.2, 0.6, 1), (0, 0.5, 1))
    ),
    "large": Layout(("x", "icd"), (0,), (1,), (100,), (-1,), (1,)),
}
CASES = [(name, layout) for name in ("unet", "mlp") for layout in LAYOUTS]


def small(name, **changes):
    return ModelConfig(**{"name": name, "width": 8, "max_width": 16, "hidden": 16} | changes)


def codes_layout(count):
    return Layout(
        tuple(f"c{i}" for i in range(count)), (), tuple(range(count)), (2,) * count, (), ()
    )


def batch_of(layout, seed=0, masked=1):
    """Random records; with `masked` also the mask code."""
    rng = np.random.default_rng(seed)
    sizes = np.array(layout.cardinalities, int)
    codes = rng.integers(0, sizes + masked, (BATCH, len(sizes)))
    values = rng.normal(size=(BATCH, layout.num_continuous))
    return Records(jnp.asarray(values, jnp.float32), jnp.asarray(codes, jnp.int32))


def nothing_known(records):
    return Records(*(jnp.zeros(part.shape, bool) for part in records))


def randomized(params, seed=1):
    """Params with noise, so that no zero-initialised layer hides a fault."""
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return tree.unflatten([x + 0.1 * rng.normal(size=x.shape).astype(np.float32) for x in leaves])


def run(config, layout):
    init_fn, apply_fn = make_network(config, layout)
    params = randomized(jax.jit(init_fn)(jax.random.key(0)))
    batch, log_snr = batch_of(layout), jnp.linspace(-5.0, 5.0, BATCH)
    return jax.jit(apply_fn)(params["network"], batch, log_snr, nothing_known(batch))


@pytest.mark.parametrize("name, layout", CASES)
def test_outputs(name, layout):
    layout = LAYOUTS[layout]
    v, logits = run(small(name), layout)
    assert v.shape == (BATCH, layout.num_continuous) and v.dtype == jnp.float32
    shapes = [(BATCH, b.stop - b.start, b.width) for b in layout.buckets]
    assert [x.shape for x in logits] == shapes
    assert all(np.isfinite(x).all() and x.dtype == jnp.float32 for x in (v, *logits))
    for bucket, scores in zip(layout.buckets, logits, strict=True):
        chance = np.asarray(jax.nn.softmax(scores))
        sizes = np.array(layout.cardinalities[bucket.start : bucket.stop])
        padded = np.arange(bucket.width) >= sizes[:, None]
        assert (chance[:, padded] == 0).all() and (chance[:, ~padded] > 0).all()


def test_order_waves_are_cosines_of_the_rank_and_nothing_else():
    layout = LAYOUTS["ordered"]
    _, eight = layout.buckets
    parts, waves = order_waves(layout, eight)
    np.testing.assert_array_equal(parts, [0, 1])
    np.testing.assert_allclose(waves[1, :3, 0], [1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(waves[0, 1, 4], -1 / 5, atol=1e-6)  # cos(5 pi / 5) / 5
    assert not waves[0, 4:].any() and not waves[1, 3:].any()
    assert not len(order_waves(LAYOUTS["odd"], LAYOUTS["odd"].buckets[0])[0])


@pytest.mark.parametrize("name", ["unet", "mlp"])
@pytest.mark.parametrize("ranked", [True, False])
def test_what_is_learnt_of_one_category_teaches_its_neighbours_in_order(name, ranked):
    """Only where there is an order: without it a scorer learns each category by itself."""
    ranks = (tuple(np.linspace(0, 1, 8).tolist()),) if ranked else ()
    layout = Layout(("x", "k"), (0,), (1,), (8,), (-1,), (1,), ranks)
    init_fn, apply_fn = make_network(small(name), layout)
    params = init_fn(jax.random.key(0))["network"]
    batch = batch_of(layout)
    args = batch, jnp.zeros(BATCH), nothing_known(batch)

    def score(params):
        return apply_fn(params, *args)[1][0][:, 0]

    step = jax.grad(lambda params: score(params)[:, 0].mean())(params)
    step["coder"]["bias8"] *= 0  # of the category itself, whatever the record
    after = score(jax.tree.map(lambda x, d: x + 0.1 * d, params, step)).mean(axis=0)
    assert after[0] > 0
    share = np.asarray(after / after[0])[1:]
    assert (share[0] > 0.3 and (np.diff(share) < 0.1).all()) if ranked else not share.any()


def test_a_pick_draws_one_of_the_guesses_by_its_chance():
    layout, config = LAYOUTS["odd"], small("unet", components=3)
    init_fn, apply_fn = make_network(config, layout)
    params = randomized(jax.jit(init_fn)(jax.random.key(0)))["network"]
    args = params, batch_of(layout), jnp.linspace(-5.0, 5.0, BATCH), nothing_known(batch_of(layout))
    v, logits, log_prior = apply_fn(*args)
    assert v.shape == (BATCH, 3, 2) and [x.shape[:2] for x in logits] == [(BATCH, 3)] * len(logits)
    assert len(np.unique(v[0, :, 0])) == 3
    np.testing.assert_allclose(np.exp(log_prior).sum(axis=1), 1.0, rtol=1e-5)
    ends = np.cumsum(np.exp(log_prior), axis=1)
    for k in range(3):
        for pick in (ends[:, k] - np.exp(log_prior)[:, k] + 1e-4, ends[:, k] - 1e-4):
            alone = apply_fn(*args, jnp.asarray(pick))
            np.testing.assert_allclose(alone[0], v[:, k], atol=1e-5)
            for one, many in zip(alone[1], logits, strict=True):
                np.testing.assert_allclose(one, many[:, k], atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "mlp"])
def test_bfloat16_is_close_to_float32(name):
    layout = LAYOUTS["large"]
    exact, rough = (run(small(name, dtype=d), layout) for d in ("float32", "bfloat16"))
    assert not np.array_equal(exact[0], rough[0])  # it did run in another precision
    for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(rough), strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=0.15, rtol=0.05)


@pytest.mark.parametrize(
    "name, layout, changes",
    [("unet", "odd", {}), ("mlp", "large", {}), ("unet", "odd", {"components": 2})],
)
def test_no_parameter_is_dead(name, layout, changes):
    layout = LAYOUTS[layout]
    init_fn, apply_fn = make_network(small(name, **changes), layout, learnable_schedule=True)
    loss_fn = make_loss_fn(Denoiser(apply_fn, layout, Schedule(learnable=True)), condition_rate=0.5)
    batch, u = batch_of(layout, masked=0), (jnp.arange(BATCH) + 0.5) / BATCH
    tx = optax.adam(1e-2)

    @jax.jit
    def train(params):
        def step(carry, i):
            params, state, reach = carry
            keys = record_keys(purpose_key(0, "train"), i * BATCH + jnp.arange(BATCH))
            grads = jax.grad(lambda p: loss_fn(p, batch, keys, u).mean())(params)
            updates, state = tx.update(grads, state)
            reach = jax.tree.map(lambda r, g: r + jnp.abs(g).sum(), reach, grads)
            return (optax.apply_updates(params, updates), state, reach), None

        zero = jax.tree.map(lambda _: jnp.float32(0), params)
        return jax.lax.scan(step, (params, tx.init(params), zero), jnp.arange(6))[0][2]

    params = jax.jit(init_fn)(jax.random.key(0))
    reach = jax.tree_util.tree_leaves_with_path(train(params))
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    # a mathematically zero gradient still has round-off: 1e-6 is far above it
    dead = [
        jax.tree_util.keystr(path)
        for (path, value), size in zip(reach, sizes, strict=True)
        if size and not value > 1e-6
    ]
    assert not dead


def test_unet_grows_at_most_linearly():
    def size(count):
        init_fn, _ = make_network(ModelConfig(), codes_layout(count))
        return count_params(jax.eval_shape(init_fn, jax.random.key(0)))

    small_size, double, large = size(1024), size(2048), size(8192)
    assert small_size < double <= 2.05 * small_size
    assert double < large <= 4.1 * double
    assert double < 26e6  # weights per position are the bulk


@pytest.mark.parametrize("name", ["unet", "mlp"])
def test_four_thousand_codes_trace(name):
    layout = codes_layout(4000)
    init_fn, apply_fn = make_network(ModelConfig(name), layout)
    params = jax.eval_shape(init_fn, jax.random.key(0))
    batch = Records(jax.ShapeDtypeStruct((2, 0), jnp.float32), jax.ShapeDtypeStruct((2, 4000), int))
    known = Records(*(jax.ShapeDtypeStruct(part.shape, bool) for part in batch))
    log_snr = jax.ShapeDtypeStruct((2,), jnp.float32)
    v, logits = jax.eval_shape(apply_fn, params["network"], batch, log_snr, known)
    assert v.shape == (2, 0) and [x.shape for x in logits] == [(2, 4000, 2)]


def test_the_given_flag_reaches_the_output():
    layout = LAYOUTS["odd"]
    init_fn, apply_fn = make_network(small("unet"), layout)
    params, batch = randomized(jax.jit(init_fn)(jax.random.key(0))), batch_of(layout)
    run_with = jax.jit(lambda known: apply_fn(params["network"], batch, jnp.zeros(BATCH), known)[0])
    known = nothing_known(batch)
    given = known._replace(categorical=known.categorical.at[:, 1].set(True))
    assert not np.allclose(run_with(known), run_with(given))


@pytest.mark.parametrize("name", ["unet", "mlp"])
def test_an_untrained_network_draws_from_the_shares(name):
    layout, rng = LAYOUTS["odd"], np.random.default_rng(0)
    init_fn, apply_fn = make_network(small(name), layout)
    shares = tuple(rng.integers(1, 99, k) for k in layout.cardinalities)
    params = start_at_shares(jax.jit(init_fn)(jax.random.key(0)), layout, shares)
    batch = batch_of(layout)
    _, logits = apply_fn(params["network"], batch, jnp.zeros(BATCH), nothing_known(batch))
    drawn = [p for bucket in logits for p in np.moveaxis(jax.nn.softmax(bucket), 1, 0)]
    for chance, share in zip(drawn, shares, strict=True):
        whole = np.tile(share / share.sum(), (BATCH, 1))
        np.testing.assert_allclose(chance[:, : len(share)], whole, rtol=1e-4)


def test_embeddings_start_standardised_over_the_records():
    """Average zero and mean square one by the shares; where one is rare, no more than 8 times."""
    layout, rng = LAYOUTS["odd"], np.random.default_rng(0)
    init_fn, _ = make_network(small("unet"), layout)
    before = jax.jit(init_fn)(jax.random.key(0))
    shares = [rng.integers(1, 99, k).astype(float) for k in layout.cardinalities]
    shares[0][0] = 1e7  # all but one record in a hundred thousand have it
    after = start_at_shares(before, layout, shares)["network"]["coder"]
    for bucket in layout.buckets:
        tables = np.asarray(after[f"table{bucket.width}"], float)
        assert not tables[:, bucket.width].any()  # masked
        for part in range(bucket.start, bucket.stop):
            chance = shares[part] / shares[part].sum()
            table = tables[part - bucket.start, : len(chance)]
            np.testing.assert_allclose(chance @ table, 0.0, atol=1e-4)
            square = (chance @ table**2).mean()
            assert square == pytest.approx(1.0, rel=1e-3) if part else square < 0.1
    first = next(b for b in layout.buckets if b.start == 0)
    old, new = (p[f"table{first.width}"][0] for p in (before["network"]["coder"], after))
    apart = (np.linalg.norm(table[1] - table[0]) for table in (new, old))
    assert next(apart) == pytest.approx(MAX_SCALE * next(apart), rel=1e-3)


def test_bad_config_is_refused():
    guesses = [{"components": 0}, {"components": 2, "name": "mlp"}]
    for wrong in (
        {"name": "transformer"},
        {"dtype": "float16"},
        {"width": 0},
        {"fan": 1},
        *guesses,
    ):
        with pytest.raises(InputError):
            ModelConfig(**wrong)
