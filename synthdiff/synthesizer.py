"""The three-line API: fit a table, sample a table, save and load without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error, positive
from synthdiff.data.batches import batch_indices
from synthdiff.data.codec import Codec
from synthdiff.data.conform import coerce, conform
from synthdiff.data.doctor import require_healthy
from synthdiff.data.dtypes import to_dtype, to_values
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.diffusion.denoiser import denoise, get_power, known_parts
from synthdiff.diffusion.guidance import guide
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.samplers import SamplerConfig, sample
from synthdiff.diffusion.schedules import Schedule, part_log_snr
from synthdiff.diffusion.spread import spread_uniform
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig, make_network
from synthdiff.private_run import PrivateRun
from synthdiff.train.dp import DpConfig
from synthdiff.train.loop import fit as fit_loop
from synthdiff.train.optim import TrainConfig, make_optimizer
from synthdiff.train.parallel import make_parallel_map, make_parallel_train, to_devices
from synthdiff.train.state import create_state
from synthdiff.train.step import make_train_step

VERSION = 1
GOLDEN_RATIO = 0.618034  # its multiples modulo 1 fill [0, 1) evenly, however many there are
SPREAD = 2**31 - 1  # folded into the key of records in place of an index that no record reaches
BLOCK = 512  # records per device and program: fixed, so that a row never depends on the batch


@dataclass(frozen=True)
class Config:
    """Everything that decides a run, beside the table.

    min_patients: a category, spike or quantile that fewer patients share is not learnt as such.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    schedule: Schedule = field(default_factory=Schedule)
    train: TrainConfig = field(default_factory=TrainConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    min_patients: int = 5
    dp: DpConfig = field(default_factory=DpConfig)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Config:
        """Inverse of `to_json`."""
        return cls(
            ModelConfig(**data["model"]),
            Schedule(**data["schedule"]),
            TrainConfig(**data["train"]),
            SamplerConfig(**data["sampler"]),
            data["min_patients"],
            DpConfig(**data.get("dp", {})),
        )


@dataclass(frozen=True)
class Synthesizer:
    """A trained model: codec, config and the averaged weights; holds no training record.

    privacy: what a run with differential privacy guarantees, and its ledger; else None.
    """

    codec: Codec
    config: Config
    params: dict
    privacy: dict | None = None

    def sample(
        self,
        num_rows: int,
        *,
        seed: int = 0,
        where: Mapping[str, object] | None = None,
        guidance: float = 0.0,
        sampler: SamplerConfig | None = None,
    ) -> pd.DataFrame:
        """Draws `num_rows` synthetic records with the table's columns and dtypes.

        The same seed gives the same rows for any device count; row i does not depend on num_rows.
        where: fixed column values, such as {"sex": "F"}; guidance > 0 sharpens the condition at
        twice the cost.
        """
        positive(num_rows=num_rows)
        given = pd.DataFrame({k: [v] * num_rows for k, v in (where or {}).items()})
        schema = self.codec.schema
        if schema.entity in given.columns:
            where_is = f"where={{{schema.entity!r}: ...}}"
            fix = "leave it out: synthetic records get fresh ids"
            raise input_error(where_is, "names the patient, which is not modelled", fix)
        table = self._draw(num_rows, given, seed, guidance, sampler)
        for name in given.columns:
            column = schema[name]
            table[name] = to_dtype(to_values(coerce(given[name], column)[0], column), column)
        return table

    def impute(self, df: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """Fills whole missing columns: draws the columns that `df` lacks given those it has.

        The cells and the index of `df` come back as they are, missing cells included.
        """
        positive(num_rows=len(df))
        table = self._draw(len(df), df, seed, 0.0, None).set_axis(df.index)
        return table.assign(**{name: df[name] for name in df.columns})

    def _draw(self, num_rows, given, seed, guidance, sampler) -> pd.DataFrame:
        rng = np.random.default_rng([seed, 1])
        values, known = self.codec.encode_given(given, num_rows, rng)
        run = _make_sampler(self.config, self.codec.layout, sampler, guidance)
        shared = (self.params, purpose_key(seed, "sample"), known)
        records = run(shared, values, 0, num_rows, BLOCK)
        return self.codec.decode(records, np.random.default_rng([seed, 2]))

    def save(self, folder: str | Path) -> None:
        """Writes config.json, codec.json and weights.msgpack into the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", {"version": VERSION, **self.config.to_json()})
        write_json(folder / "codec.json", self.codec.to_json())
        weights = flax.serialization.to_bytes(jax.tree.map(np.asarray, self.params))
        (folder / "weights.msgpack").write_bytes(weights)
        if self.privacy:
            write_json(folder / "privacy.json", self.privacy)


def load(folder: str | Path) -> Synthesizer:
    """Reads what `Synthesizer.save` or a training run wrote; executes no code from the files."""
    folder = Path(folder)
    try:
        data = json.loads((folder / "config.json").read_text())
        codec = Codec.from_json(json.loads((folder / "codec.json").read_text()))
        weights = (folder / "weights.msgpack").read_bytes()
    except FileNotFoundError as error:
        raise input_error(
            str(folder), f"no {Path(error.filename).name}", "name a folder with a finished run"
        ) from error
    except json.JSONDecodeError as error:
        raise input_error(
            str(folder), f"config or codec not JSON ({error})", "train again"
        ) from error
    if data.pop("version", None) != VERSION:
        raise input_error(str(folder), "written by another version", f"use version {VERSION}")
    try:
        config = Config.from_json(data)
    except (TypeError, KeyError) as error:
        raise input_error(
            str(folder / "config.json"), f"bad field ({error})", "train again"
        ) from error
    template = jax.eval_shape(_make_functions(config, codec.layout)[0], jax.random.key(0))
    try:
        params = flax.serialization.from_bytes(template, weights)
        if jax.tree.map(np.shape, params) != jax.tree.map(np.shape, template):
            raise ValueError("other shapes")
        account = folder / "privacy.json"
        privacy = json.loads(account.read_text()) if account.exists() else None
        return Synthesizer(codec, config, params, privacy)
    except (ValueError, KeyError) as error:
        raise input_error(
            str(folder / "weights.msgpack"), f"does not fit config.json ({error})", "train again"
        ) from error


def fit(
    df: pd.DataFrame,
    schema: Schema | None = None,
    *,
    config: Config | None = None,
    folder: str | Path | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> Synthesizer:
    """Trains a model on a table (training rows only: split by patient before).

    schema: inferred where absent. folder: where checkpoints, metrics and the model are kept; a
    second call with the same folder resumes. Raises InputError that lists what the table lacks.
    """
    config = config or Config()
    if seed is not None:
        config = replace(config, train=replace(config.train, seed=seed))
    schema = schema or infer_schema(df)
    require_healthy(df, schema)
    df = conform(df, schema)
    patients = df[schema.entity].to_numpy() if schema.entity else None
    folder, private = Path(folder) if folder else None, None
    if config.dp.epsilon:
        private = PrivateRun.begin(df, schema, config.dp, config.train, config.min_patients, folder)
        codec = private.codec
    else:
        codec = Codec.fit(df, schema, entity_ids=patients, min_patients=config.min_patients)
    if folder:
        _claim(folder, config, codec)
    state = train(codec, df, patients, config, folder, progress, private)
    params = jax.tree.map(np.asarray, state.ema_params)
    model = Synthesizer(codec, config, params, private and private.account)
    if folder:
        model.save(folder)
    return model


def train(
    codec: Codec,
    df: pd.DataFrame,
    patients: np.ndarray | None,
    config: Config,
    folder: Path | None,
    progress: bool,
    private: PrivateRun | None = None,
):
    """Encodes the table, puts it on the devices and runs the training loop."""
    seed, layout = config.train.seed, codec.layout
    init_fn, apply_fn = _make_functions(config, layout)
    tx = make_optimizer(config.train)
    rate = config.train.condition_rate
    loss_fn = make_loss_fn(apply_fn, layout, config.schedule, condition_rate=rate)
    if private:
        step, data, rows_of = (
            private.make_step(loss_fn, tx, config.train),
            private.encode(),
            private.sample_patients,
        )
    else:
        step = make_train_step(loss_fn, tx, config.train)
        data = Records(*codec.encode(df, np.random.default_rng([seed, 0])))
        rows_of = partial(batch_indices, patients, len(df), config.train.batch_size, seed)
    run, data = make_parallel_train(step), to_devices(data)
    state = to_devices(create_state(jax.jit(init_fn)(purpose_key(seed, "init")), tx))
    return fit_loop(
        state,
        lambda state, rows: run(state, data, rows),
        rows_of,
        config.train,
        layout.part_names,
        folder=folder,
        progress=progress,
    )


def measure_loss(
    model: Synthesizer, df: pd.DataFrame, *, num_noises: int = 1, seed: int = 0
) -> np.ndarray:
    """The training objective of each row [rows], no column given: nats, summed over parts.

    The mean over `num_noises` noises of its own, at times that are spread evenly over a record's
    noises and over records, the same for every model.
    """
    layout, config = model.codec.layout, model.config
    df = conform(df, model.codec.schema)
    loss_fn = make_loss_fn(
        _make_functions(config, layout)[1], layout, config.schedule, condition_rate=0.0
    )

    def measure(shared: tuple, records: Records, index: jax.Array) -> jax.Array:
        params, key = shared

        def at(noise: jax.Array) -> jax.Array:
            share = (index.astype(jnp.float32) + 0.5) * GOLDEN_RATIO + noise / num_noises
            keys = record_keys(jax.random.fold_in(key, noise), index)
            return jnp.sum(loss_fn(params, records, keys, share % 1.0), axis=-1)

        return jnp.mean(jax.lax.map(at, jnp.arange(num_noises)), axis=0)

    records = model.codec.encode(df, np.random.default_rng([seed, 0]))
    shared = (model.params, purpose_key(seed, "measure"))
    return make_parallel_map(measure)(shared, records, 0, len(df), BLOCK)


@lru_cache(maxsize=8)
def _make_sampler(config: Config, layout: Layout, sampler: SamplerConfig | None, guidance: float):
    """The sampler over all devices; kept, so that a second call does not compile again."""
    return make_parallel_map(make_sample_fn(config, layout, sampler, guidance))


def make_sample_fn(config: Config, layout: Layout, sampler: SamplerConfig | None, guidance: float):
    """Builds `fn((params, key, known), given: Records [b], index [b]) -> Records [b]`.

    known: bool [tokens], which of them `given` holds.
    """
    sampler, schedule = sampler or config.sampler, config.schedule
    _, apply_fn = _make_functions(config, layout)

    def churn_time(t):
        grid = jnp.linspace(0.0, 1.0, 1024)
        target = schedule.log_snr(t) - 2.0 * jnp.log1p(sampler.churn)
        return jnp.interp(-target, -schedule.log_snr(grid), grid)

    def draw(shared: tuple, given: Records, index: jax.Array) -> Records:
        params, key, known = shared
        parts = known_parts(jnp.broadcast_to(known, (len(index), len(layout.tokens))), layout)
        given = Records(given.continuous, given.categorical.astype(jnp.int32))

        def denoise_given(parts, z, t):
            times = jnp.full(len(index), t)
            return denoise(apply_fn, params, layout, schedule, z, times, given, parts)

        denoise_fn = partial(denoise_given, parts)
        if guidance:
            free = jax.tree.map(jnp.zeros_like, parts)
            denoise_fn = guide(denoise_fn, partial(denoise_given, free), guidance)
        drawn = sample(
            sampler,
            denoise_fn,
            lambda t: part_log_snr(schedule, t, get_power(params, layout)),
            layout,
            record_keys(key, index),
            churn_time,
            spread_uniform(jax.random.fold_in(key, SPREAD), index, layout.num_categorical),
        )
        return jax.tree.map(jnp.where, parts, given, drawn)

    return draw


def _make_functions(config: Config, layout: Layout):
    return make_network(config.model, layout, learnable_schedule=config.schedule.learnable)


def _claim(folder: Path, config: Config, codec: Codec) -> None:
    """Makes the run folder, or checks that what it holds was begun with the same settings."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / "config.json"
    wanted = {"version": VERSION, **config.to_json()}
    if begun.exists():
        same = json.loads(begun.read_text()) == wanted
        table = json.loads(json.dumps(codec.to_json()))  # tuples read back as lists
        same = same and json.loads((folder / "codec.json").read_text()) == table
        if not same:
            raise InputError(
                f"{folder}: holds a run with another table or settings. "
                "Fix: name an empty folder, or repeat the same flags to resume."
            )
    write_json(folder / "codec.json", codec.to_json())
    write_json(begun, wanted)
