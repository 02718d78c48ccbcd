"""Shadow models: who is in which, that training together is training alone, and what they show."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from synthdiff.diffusion.denoiser import Denoiser
from synthdiff.diffusion.keys import purpose_key
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.schedules import Schedule
from synthdiff.eval.statistics import membership_p_value
from synthdiff.eval.whitebox import Losses, lira_online, loss_threshold
from synthdiff.exposure.measure import make_measure_losses
from synthdiff.exposure.shadow import draw_membership, draw_rows, take_model, train_shadows
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig, make_network
from synthdiff.train.optim import TrainConfig, make_optimizer
from synthdiff.train.parallel import make_parallel_train
from synthdiff.train.state import create_state
from synthdiff.train.step import make_train_step

DIMS = 8
LAYOUT = Layout((*"abcdefgh", "k"), tuple(range(DIMS)), (DIMS,), (4,), (-1,) * DIMS, (1,) * DIMS)
SCHEDULE = Schedule()
PATIENTS, MODELS = 80, 4
TRAIN = TrainConfig(num_steps=500, batch_size=64, steps_per_call=100, ema_decay=0.9, seed=3)
INIT, APPLY = make_network(ModelConfig("mlp", width=8, hidden=96, depth=1), LAYOUT)
DENOISER = Denoiser(APPLY, LAYOUT, SCHEDULE)
LOSS = make_loss_fn(DENOISER)


def people(seed, count=PATIENTS):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, DIMS)).astype(np.float32)
    return Records(values, rng.integers(0, 4, (count, 1)).astype(np.int32))


def test_membership_is_a_fair_coin_and_a_function_of_the_seed():
    member = draw_membership(2000, 8, seed=0)
    assert np.abs(member.mean(axis=1) - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
    assert abs(np.corrcoef(member)[0, 1:]).max() < 0.1
    np.testing.assert_array_equal(member, draw_membership(2000, 8, seed=0))
    assert (member != draw_membership(2000, 8, seed=1)).mean() > 0.4
    assert draw_membership(1, 20, seed=0).all()  # a model without a patient could not be trained


def test_batches_come_from_the_models_own_members_and_can_be_resumed():
    member = draw_membership(50, 3, seed=0)
    rows = draw_rows(member, 16, 5, 0, 6)
    assert rows.shape == (6, 16, 3)
    for model in range(3):
        assert member[model, rows[:, :, model]].all()
        assert not member[(model + 1) % 3, rows[:, :, model]].all()
    np.testing.assert_array_equal(draw_rows(member, 16, 5, 4, 2), rows[4:])


def test_64_models_trained_together_are_trained_alone():
    models = 64
    config = replace(TRAIN, num_steps=5, steps_per_call=5)
    member = draw_membership(PATIENTS, models, seed=0)
    data = people(0)
    together = train_shadows(INIT, LOSS, data, member, config)
    rows, tx = draw_rows(member, config.batch_size, config.seed, 0, 5), make_optimizer(config)
    for model in (0, 1, models - 1):
        one = replace(config, seed=config.seed * models + model)
        state = create_state(INIT(purpose_key(one.seed, "init")), tx)
        run = make_parallel_train(make_train_step(LOSS, tx, one), data, jax.local_devices()[:1])
        state, _ = run(state, rows[:, :, model])
        # Adam blows rounding up where gradients vanish, so single weights may differ by more
        assert distance(take_model(together, model), state.ema_params) < 2e-6
    assert distance(take_model(together, 0), take_model(together, 1)) > 1e-3


def distance(params, others):
    gaps = jax.tree.map(lambda a, b: np.abs(a - b).ravel(), params, others)
    return np.concatenate(jax.tree.leaves(gaps)).mean()


@pytest.fixture(scope="module")
def overfitted():
    """Losses [models, people, ...] of tiny models that know 40 records well, and of others."""
    member = draw_membership(PATIENTS, MODELS, seed=0)
    params = train_shadows(INIT, LOSS, people(0), member, TRAIN)
    run = make_measure_losses(DENOISER, num_noises=4)
    found = [
        np.stack([run(take_model(params, m), people(seed)) for m in range(MODELS)])
        for seed in (0, 1)
    ]
    return member, *found


def p_of(scores, inside):
    return membership_p_value(scores[inside], scores[~inside])


def test_an_overfitted_model_is_caught_and_one_that_never_saw_the_people_is_not(overfitted):
    member, seen, unseen = overfitted
    for model in range(MODELS):
        inside = member[model]
        game = Losses(seen[model], np.delete(seen, model, 0), np.delete(member, model, 0))
        for attack in (loss_threshold, lira_online):
            assert p_of(attack(game, game), inside) < 1e-3, attack
        # other people under the same model, called members and non-members by the same coin
        apart = Losses(unseen[model], np.delete(unseen, model, 0), game.member)
        assert p_of(loss_threshold(apart, apart), inside) > 1e-3


def test_a_diverged_model_is_named():
    broken = replace(TRAIN, num_steps=2, steps_per_call=2)

    def loss(params, batch, keys, u):
        return LOSS(params, batch, keys, u) * np.nan

    with pytest.raises(FloatingPointError, match=r"Shadow models \[0, 1\] diverged"):
        train_shadows(INIT, loss, people(0), draw_membership(PATIENTS, 2, 0), broken)
