"""One training step: accumulation, moving average, weight decay, stratified times."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthdiff._validate import InputError
from synthdiff.layout import Records
from synthdiff.train.optim import BLOCK, OPTIMIZERS, RMS, TrainConfig, make_optimizer
from synthdiff.train.parallel import make_parallel_map, make_parallel_train, to_devices
from synthdiff.train.state import create_state, update_ema
from synthdiff.train.step import draw_randomness, make_train_step

BATCH = 16
ONE = jax.local_devices()[:1]


def data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)).astype(np.float32)
    return Records(jnp.asarray(values), jnp.zeros((40, 0), jnp.int8))


def noisy_loss(params, batch, keys, u):
    """Terms [b, 3] that need the batch, the keys and the times."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    guess = jnp.tanh(batch.continuous @ params["w"] + params["b"])
    return (guess - noise * u[:, None]) ** 2


def train(steps=3, **options):
    config = TrainConfig(num_steps=10, batch_size=BATCH, warmup_steps=0, **options)
    tx = make_optimizer(config)
    params = {"w": jnp.eye(3) * 0.5, "b": jnp.ones(3)}
    run = make_parallel_train(make_train_step(noisy_loss, tx, config), data(), ONE)
    rows = np.random.default_rng(1).integers(0, 40, (steps, BATCH)).astype(np.int32)
    return run(create_state(params, tx), rows)


def test_accumulation_changes_nothing():
    (one, one_metrics), (four, four_metrics) = train(), train(accumulate=4)
    assert int(one.step) == 3
    assert not np.allclose(one.params["w"], np.eye(3) * 0.5, atol=1e-4)  # it did train
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for name, values in one_metrics.items():
        np.testing.assert_allclose(values, four_metrics[name], rtol=1e-4)
    np.testing.assert_allclose(one_metrics["per_part"].mean(axis=1), one_metrics["loss"], rtol=1e-5)


def test_a_donated_state_gives_its_memory_to_the_next():
    config = TrainConfig(num_steps=10, batch_size=BATCH, warmup_steps=0)
    tx = make_optimizer(config)
    params = {"w": jnp.eye(3) * 0.5, "b": jnp.ones(3)}
    rows = np.random.default_rng(1).integers(0, 40, (3, BATCH)).astype(np.int32)
    kept, step = create_state(params, tx), make_train_step(noisy_loss, tx, config)
    first = state = to_devices(kept, ONE)  # params and their average are one array before, two now
    run = make_parallel_train(step, data(), ONE, donate=True)
    for _ in range(2):
        state, _ = run(state, rows)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first))
    run, again = make_parallel_train(step, data(), ONE), kept
    for _ in range(2):
        again, _ = run(again, rows)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(kept))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_accumulation_that_does_not_divide_is_refused():
    with pytest.raises(InputError, match=r"accumulate 3 .* Fix:"):
        train(accumulate=3)


def test_the_gradient_is_the_mean_over_the_batch():
    """First step of the loop against a plain gradient of the same examples."""
    config = TrainConfig(num_steps=10, batch_size=BATCH)
    rows = np.random.default_rng(1).integers(0, 40, (3, BATCH))[0]
    keys, u = draw_randomness(config.seed, jnp.int32(0), jnp.arange(BATCH), BATCH)
    batch = jax.tree.map(lambda column: column[rows], data())
    params = {"w": jnp.eye(3) * 0.5, "b": jnp.ones(3)}
    loss, grads = jax.value_and_grad(lambda p: noisy_loss(p, batch, keys, u).mean())(params)
    metrics = train()[1]
    assert metrics["loss"][0] == pytest.approx(float(loss), rel=1e-5)
    assert metrics["grad_norm"][0] == pytest.approx(float(optax.global_norm(grads)), rel=1e-4)


def test_moving_average_starts_at_the_params():
    params = {"w": jnp.array([1.0, 2.0])}
    state = create_state(params, optax.sgd(0.1))
    np.testing.assert_array_equal(state.ema_params["w"], params["w"])
    assert state.step.dtype == jnp.int32 and int(state.step) == 0


def test_moving_average_has_its_closed_form():
    """Towards zero, what is left of 1 is the product of the rates min(decay, (1+t)/(10+t))."""
    ema, decay = {"w": jnp.float32(1.0)}, 0.9
    for t in range(200):
        ema = update_ema(ema, {"w": jnp.float32(0.0)}, decay, jnp.int32(t))
        if t == 2:
            assert float(ema["w"]) == pytest.approx(1 / 10 * 2 / 11 * 3 / 12)
    late = update_ema({"w": jnp.float32(1.0)}, {"w": jnp.float32(0.0)}, decay, jnp.int32(500))
    assert float(late["w"]) == pytest.approx(decay)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_matrices_decay(optimizer):
    config = TrainConfig(10, warmup_steps=0, learning_rate=0.01, optimizer=optimizer)
    tx = make_optimizer(config)
    params = {"kernel": jnp.ones((2, 2)), "bias4": jnp.ones((2, 4)), "scalar": jnp.float32(1.0)}
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zero, tx.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.01 * 0.1, rtol=1e-5)
    assert not np.any(updates["bias4"]) and not np.any(updates["scalar"])


def first_update(grads, optimizer="muon"):
    """Per unit of learning rate, without decay; the gradients stay below the norm that is cut."""
    config = TrainConfig(10, warmup_steps=0, weight_decay=0.0, optimizer=optimizer)
    tx = make_optimizer(config)
    params = jax.tree.map(jnp.ones_like, grads)
    updates, _ = tx.update(grads, tx.init(params), params)
    return jax.tree.map(lambda x: np.asarray(x) / config.learning_rate, updates)


def draw_grads(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * 1e-4, jnp.float32)


@pytest.mark.parametrize("shape", [(8, 20), (3, 40, 8), (6, 2 * BLOCK), (3, 6, 2 * BLOCK)])
def test_muon_makes_every_block_orthogonal(shape):
    """Downhill, with about equal singular values of which the root mean square is as AdamW's."""
    grads = draw_grads(0, *shape)
    columns = min(BLOCK, shape[-1])
    found, given = (
        np.moveaxis(np.reshape(x, (-1, shape[-2], shape[-1] // columns, columns)), 2, 1)
        for x in (first_update({"kernel": grads})["kernel"], grads)
    )
    left, _, right = np.linalg.svd(given, full_matrices=False)
    scale = RMS * np.sqrt(max(shape[-2], columns))
    along = np.einsum("...ir,...ij,...rj->...r", left, -found, right) / scale
    assert 0.65 < along.min() < along.max() < 1.25
    other = first_update({"kernel": grads}, "adamw")["kernel"]
    assert np.ptp(np.linalg.svd(other.reshape(-1, shape[-1]), compute_uv=False)) > 0.5


def test_muon_keeps_blocks_and_parameters_apart():
    grads = {"kernel": draw_grads(0, 6, 2 * BLOCK), "table": draw_grads(1, 4, 5)}
    changed = {"kernel": grads["kernel"].at[:, BLOCK:].multiply(-1.0), "table": grads["table"]}
    one, other = first_update(grads), first_update(changed)
    np.testing.assert_array_equal(one["kernel"][:, :BLOCK], other["kernel"][:, :BLOCK])
    np.testing.assert_allclose(one["kernel"][:, BLOCK:], -other["kernel"][:, BLOCK:], rtol=1e-4)
    np.testing.assert_array_equal(np.sign(one["table"]), -np.sign(grads["table"]))
    assert np.ptp(np.abs(one["table"])) < 0.02  # of one size, as Adam's first


@pytest.mark.parametrize("num_steps", [1, 2, 9, 600])
def test_learning_rate_of_short_runs(num_steps):
    """Also a run of one step has a first update, and it is not zero."""
    tx = make_optimizer(TrainConfig(num_steps=num_steps, weight_decay=0.0))
    params = {"w": jnp.ones(2)}
    state, moved = tx.init(params), 0.0
    for _ in range(min(num_steps, 3)):
        updates, state = tx.update({"w": jnp.ones(2)}, state, params)
        moved = max(moved, float(jnp.abs(updates["w"]).max()))
    assert 0 < moved < 3e-3


def test_small_tables_are_passed_over_no_more_than_max_epochs():
    config = TrainConfig(num_steps=2500, batch_size=256, max_epochs=60)
    assert config.limit_steps(2178).num_steps == 511  # 60 x 2178 / 256, rounded up
    assert config.limit_steps(12_000) == config
    assert config.limit_steps(1).num_steps == 1


def test_each_stratum_is_hit_once():
    for step in range(5):
        position = jnp.asarray(np.random.default_rng(step).permutation(BATCH))
        _, u = draw_randomness(0, jnp.int32(step), position, BATCH)
        assert ((u >= 0) & (u < 1)).all()
        np.testing.assert_array_equal(np.sort(np.floor(u * BATCH)), np.arange(BATCH))
    offsets = [float(draw_randomness(0, jnp.int32(s), jnp.arange(1), 1)[1][0]) for s in range(5)]
    assert len(set(offsets)) == 5  # no two steps look at the same times


def test_parallel_map_counts_records_globally():
    run = make_parallel_map(lambda params, extra, index: (index, extra + params), ONE)
    index, extra = run(np.float32(1.0), np.arange(10.0, dtype=np.float32), 100, 10, 4)
    np.testing.assert_array_equal(index, np.arange(100, 110))
    np.testing.assert_array_equal(extra, np.arange(10) + 1)


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"ema_decay": 1.5}, {"batch_size": -1}])
def test_bad_config_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainConfig(**wrong)
