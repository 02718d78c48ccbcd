"""What the speed benchmarks run: models and trainings of a simulated cohort of any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from synthdiff.config import Config
from synthdiff.data.batches import make_batches
from synthdiff.data.codec import Codec
from synthdiff.data.sources.simulate import simulate_cohort
from synthdiff.diffusion.keys import purpose_key
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.layout import Layout, Records
from synthdiff.models.config import make_network
from synthdiff.sampling import make_sample_fn
from synthdiff.synthesizer import Synthesizer
from synthdiff.train.optim import make_optimizer
from synthdiff.train.parallel import make_parallel_train, to_devices
from synthdiff.train.state import TrainState, create_state
from synthdiff.train.step import make_train_step

PATIENTS = 2000


def encode_cohort(num_codes: int) -> tuple[Records, Codec]:
    """The encoded table of a cohort with `num_codes` code columns beside age, sex and outcome."""
    df, schema, _ = simulate_cohort(PATIENTS, num_codes, 0)
    codec = Codec.fit(df, schema)
    return Records(*codec.encode(df, np.random.default_rng(0))), codec


def build_model(codec: Codec, config: Config) -> Synthesizer:
    """An untrained model: speed does not depend on the weights."""
    init_fn, _ = make_network(config.model, codec.layout)
    return Synthesizer(codec, config, jax.jit(init_fn)(jax.random.key(0)))


def make_sampling(model: Synthesizer, sampler: SamplerConfig, block: int) -> tuple[Callable, tuple]:
    """The sampler as `fn(*args)` for one device and `block` records, with no column given."""
    layout = model.codec.layout
    shapes = (block, layout.num_continuous), (block, layout.num_categorical)
    given = Records(np.zeros(shapes[0], np.float32), np.zeros(shapes[1], np.int8))
    shared = (model.params, purpose_key(0, "sample"), np.zeros(len(layout.tokens), bool))
    args = jax.device_put((shared, given, np.arange(block, dtype=np.int32)))
    return make_sample_fn(model.config, layout, sampler, 0.0), args


def make_training(
    config: Config, data: Records, layout: Layout, devices: Sequence[jax.Device] | None = None
) -> tuple[Callable, TrainState]:
    """`run(state, rows)` as training compiles it, and the state before step 0."""
    init_fn, denoiser = config.make_denoiser(layout)
    tx = make_optimizer(config.train)
    step = make_train_step(make_loss_fn(denoiser), tx, config.train)
    state = create_state(jax.jit(init_fn)(jax.random.key(0)), tx)
    return make_parallel_train(step, data, devices, donate=True), state


def make_advance(
    config: Config,
    data: Records,
    layout: Layout,
    steps: int,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[[], dict]:
    """`advance() -> metrics`, which trains `steps` steps further in one dispatch."""
    run, state = make_training(config, data, layout, devices)
    state = to_devices(state, devices)
    rows = make_batches(None, PATIENTS, config.train.batch_size, 0)(0, steps)

    def advance() -> dict:
        nonlocal state
        state, metrics = run(state, rows)
        return metrics

    return advance
