"""The three-line API: fit a table, sample a table, save and load without pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from synthdiff._files import (
    hold_folder,
    make_folder,
    parse_json,
    read_sealed,
    seal,
    write_atomically,
)
from synthdiff._validate import InputError, input_error, positive
from synthdiff.config import Config
from synthdiff.data.batches import make_batches
from synthdiff.data.codec import Codec, count_shares
from synthdiff.data.conform import coerce, conform
from synthdiff.data.coverage import require_covered
from synthdiff.data.doctor import require_healthy
from synthdiff.data.dtypes import to_dtype, to_values
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig, make_network, split_outputs, start_at_shares
from synthdiff.private_run import PrivateRun
from synthdiff.sampling import choose_block, draw_table
from synthdiff.train.checkpoint import hash_tree
from synthdiff.train.loop import fit as fit_loop
from synthdiff.train.optim import make_optimizer
from synthdiff.train.parallel import make_parallel_map, make_parallel_train, to_devices
from synthdiff.train.processes import ask_first, require_same
from synthdiff.train.state import create_state, keep_whole
from synthdiff.train.step import make_train_step

VERSION = 3
MODEL_FILES = ("config.json", "codec.json", "weights.msgpack")
NOTICE = "PRIVATE.txt"
_NOTICE = """Only release/ is meant for others. These files hold values of real patients, or were
learnt from them and can give some of them away: codec.json, schema.json, manifest.json,
weights.msgpack, checkpoints, audit.json, refusal.json, dp_secret. They are for their owner alone
(mode 0600). The synthetic table is not cleared before experiments/release.py has passed it.
"""
GOLDEN_RATIO = 0.618034  # its multiples modulo 1 fill [0, 1) evenly, however many there are


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
        first: int = 0,
        seed: int = 0,
        where: Mapping[str, object] | None = None,
        guidance: float = 0.0,
        sampler: SamplerConfig | None = None,
    ) -> pd.DataFrame:
        """Draws `num_rows` synthetic records with the table's columns and dtypes.

        The same seed gives the same rows for any device count, and row i does not depend on
        num_rows: `first` skips rows, so that a table may be drawn piece by piece.
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
        table = draw_table(
            self.codec,
            self.config,
            self.params,
            given,
            first=first,
            num_rows=num_rows,
            seed=seed,
            guidance=guidance,
            sampler=sampler,
        )
        for name in given.columns:
            column = schema[name]
            table[name] = to_dtype(to_values(coerce(given[name], column)[0], column), column)
        return table

    def impute(self, df: pd.DataFrame, *, first: int = 0, seed: int = 0) -> pd.DataFrame:
        """Fills whole missing columns: draws the columns that `df` lacks given those it has.

        The cells and the index of `df` come back as they are, missing cells included. A piece of
        a table is filled as within the whole if `first` says where it begins.
        """
        table = draw_table(
            self.codec, self.config, self.params, df, first=first, num_rows=len(df), seed=seed
        )
        return table.set_axis(df.index).assign(**{name: df[name] for name in df.columns})

    def save(self, folder: str | Path) -> None:
        """Writes config.json, codec.json and weights.msgpack into the folder, with their hashes."""
        folder = make_folder(folder)
        weights = flax.serialization.to_bytes(jax.tree.map(np.asarray, self.params))
        _write_settings(folder, self.config, self.codec)
        write_atomically(folder / "weights.msgpack", weights, private=True)
        if self.privacy:
            write_json(folder / "privacy.json", self.privacy)
        seal(folder, *MODEL_FILES, *(("privacy.json",) if self.privacy else ()))


def load(folder: str | Path) -> Synthesizer:
    """Reads what `Synthesizer.save` or a training run wrote; executes no code from the files.

    Raises InputError that names the file which is missing, damaged or of another run.
    """
    folder = Path(folder)
    fix = "name a folder with a finished run, or train again with the same settings, which resumes"
    content = {name: read_sealed(folder / name, fix) for name in MODEL_FILES}
    data, table = (parse_json(folder / name, content[name], fix) for name in MODEL_FILES[:2])
    if data.pop("version", None) != VERSION:
        raise input_error(str(folder), "written by another version", f"use version {VERSION}")
    try:
        where = folder / "config.json"
        config = Config.from_json(data)
        where = folder / "codec.json"
        codec = Codec.from_json(table)
    except (TypeError, KeyError) as error:
        raise input_error(str(where), f"bad field ({error})", fix) from error
    template = jax.eval_shape(config.make_functions(codec.layout)[0], jax.random.key(0))
    try:
        params = flax.serialization.from_bytes(template, content["weights.msgpack"])
        if jax.tree.map(np.shape, params) != jax.tree.map(np.shape, template):
            raise ValueError("other shapes")
    except (ValueError, KeyError) as error:
        where = folder / "weights.msgpack"
        raise input_error(str(where), f"does not fit config.json ({error})", fix) from error
    account, privacy = folder / "privacy.json", None
    if account.exists():
        privacy = parse_json(account, read_sealed(account, fix), fix)
    return Synthesizer(codec, config, params, privacy)


def fit(
    df: pd.DataFrame,
    schema: Schema | None = None,
    *,
    config: Config | None = None,
    folder: str | Path | None = None,
    seed: int | None = None,
    start: Synthesizer | None = None,
    progress: bool = True,
) -> Synthesizer:
    """Trains a model on a table (training rows only: split by patient before).

    schema: that of `start` where absent, else inferred. folder: where checkpoints, metrics and the
    model are kept; a second call with the same folder resumes. start: a model of a like table, such
    as a larger or public one, with whose codec and weights training begins; its patients stay
    exposed as far as they were, and a private run takes it as public. Raises InputError that lists
    what the table lacks, or what `start` cannot express. Processes that jax.distributed joined
    train one model together: all call this with the same arguments, and the first alone reads and
    writes the folder.
    """
    config = config or Config()
    if seed is not None:
        config = replace(config, train=replace(config.train, seed=seed))
    schema = schema or (start.codec.schema if start else infer_schema(df))
    require_healthy(df, schema)
    df = conform(df, schema)
    with ExitStack() as held:
        ours = None
        if folder:
            place = Path(folder)
            ours = ask_first(lambda: str(held.enter_context(hold_folder(make_folder(place)))))
        return _fit(df, schema, config, Path(ours) if ours else None, progress, start)


def _fit(
    df: pd.DataFrame,
    schema: Schema,
    config: Config,
    folder: Path | None,
    progress: bool,
    start: Synthesizer | None,
) -> Synthesizer:
    """`fit` of a conformed table, in a folder that is ours."""
    patients = df[schema.entity].to_numpy() if schema.entity else None
    private: PrivateRun | None = None
    if start:
        _require_alike(start.config, config)
        require_covered(start.codec, df, schema)
        config = replace(config, start=hash_tree(start.params))
    first = start.codec if start else None
    if config.dp.epsilon:
        private = PrivateRun.begin(
            df, schema, config.dp, config.train, config.min_patients, folder, first
        )
        codec = private.codec
    elif first:
        codec = first
    else:
        codec = Codec.fit(df, schema, entity_ids=patients, min_patients=config.min_patients)
    if not private:
        config = replace(config, train=config.train.limit_steps(len(df)))
    if folder:
        ask_first(lambda: _claim(folder, config, codec))
    params = train(codec, df, patients, config, folder, progress, private, start)
    model = Synthesizer(codec, config, params, private.account if private else None)
    if folder:
        ask_first(lambda: model.save(folder))
    return model


def train(
    codec: Codec,
    df: pd.DataFrame,
    patients: np.ndarray | None,
    config: Config,
    folder: Path | None,
    progress: bool,
    private: PrivateRun | None = None,
    start: Synthesizer | None = None,
) -> dict:
    """Encodes the table, runs the training loop over the devices; the averaged params, on the host.

    A private run that begins at another model moves its outputs alone.
    """
    seed, layout = config.train.seed, codec.layout
    init_fn, apply_fn = config.make_functions(layout)
    tx = make_optimizer(config.train)
    rate = config.train.condition_rate
    loss_fn = make_loss_fn(apply_fn, layout, config.schedule, condition_rate=rate)
    split = split_outputs if start and private else keep_whole
    if private:
        step, data, rows_of = private.prepare(loss_fn, tx, config.train, split)
        shares = private.shares
    else:
        step = make_train_step(loss_fn, tx, config.train)
        data = Records(*codec.encode(df, np.random.default_rng([seed, 0])))
        shares = count_shares(data, layout)
        rows_of = make_batches(patients, len(df), config.train.batch_size, seed)
    require_same("the training table or its settings", (np.array(repr(config)), data))
    run, data = make_parallel_train(step, donate=True), to_devices(data)
    if start:
        params = start.params
    else:
        params = start_at_shares(jax.jit(init_fn)(purpose_key(seed, "init")), layout, shares)
    if private:
        params = private.warm_up(params, loss_fn, config.train, folder, progress=progress)
    state = fit_loop(
        to_devices(create_state(params, tx, split(params)[0])),
        lambda state, rows: run(state, data, rows),
        rows_of,
        config.train,
        layout.part_names,
        folder=folder,
        progress=progress,
    )
    return jax.tree.map(np.asarray, state.ema_params)


def measure_loss(
    model: Synthesizer, df: pd.DataFrame, *, num_noises: int = 1, seed: int = 0
) -> np.ndarray:
    """The training objective of each row [rows], no column given: nats, summed over parts.

    The mean over `num_noises` noises of its own, at times that are spread evenly over a record's
    noises and over records, the same for every model.
    """
    config, codec = model.config, model.codec
    records = codec.encode(conform(df, codec.schema), np.random.default_rng([seed, 0]))
    measure = _make_measure(config.model, config.schedule, codec.layout, num_noises)
    shared, block = (model.params, purpose_key(seed, "measure")), choose_block(codec.layout)
    return measure(shared, records, 0, len(df), block)


@lru_cache(maxsize=8)
def _make_measure(
    network: ModelConfig, schedule: Schedule, layout: Layout, num_noises: int
) -> Callable:
    """The mean loss over all devices; kept, so that a second call does not compile again."""
    apply_fn = make_network(network, layout, learnable_schedule=schedule.learnable)[1]
    loss_fn = make_loss_fn(apply_fn, layout, schedule, condition_rate=0.0)

    def measure(shared: tuple, records: Records, index: jax.Array) -> jax.Array:
        params, key = shared

        def at(noise: jax.Array) -> jax.Array:
            share = (index.astype(jnp.float32) + 0.5) * GOLDEN_RATIO + noise / num_noises
            keys = record_keys(jax.random.fold_in(key, noise), index)
            return jnp.sum(loss_fn(params, records, keys, share % 1.0), axis=-1)

        return jnp.mean(jax.lax.map(at, jnp.arange(num_noises)), axis=0)

    return make_parallel_map(measure)


def _require_alike(first: Config, config: Config) -> None:
    """Raises InputError where the weights of the first model are no start for this one."""
    wanted, given = _shape_network(first), _shape_network(config)
    for name, value in wanted.items():
        if given[name] != value:
            problem = f"{given[name]!r}, and the first model has {value!r}"
            raise input_error(name, problem, f"use {value!r} here too")


def _shape_network(config: Config) -> dict[str, object]:
    """The settings by name that decide which weights there are."""
    model = {f"model.{name}": value for name, value in asdict(config.model).items()}
    return model | {"schedule.learnable": config.schedule.learnable}


def _claim(folder: Path, config: Config, codec: Codec) -> None:
    """Begins the run in its folder, or checks that what is there began with the same settings."""
    begun = folder / "config.json"
    if begun.exists():
        fix = "restore the file, or remove the folder and train again"
        wanted = (_settings(config), codec.to_json())
        for name, content in zip(MODEL_FILES, json.loads(json.dumps(wanted)), strict=False):
            if not (folder / name).exists():
                raise input_error(str(folder), f"no {name}", fix)
            if parse_json(folder / name, (folder / name).read_bytes(), fix) != content:
                raise InputError(
                    f"{folder}: holds a run with another table or settings. "
                    "Fix: name an empty folder, or repeat the same flags to resume."
                )
    write_atomically(folder / NOTICE, _NOTICE.encode())
    _write_settings(folder, config, codec)


def _settings(config: Config) -> dict:
    return {"version": VERSION, **config.to_json()}


def _write_settings(folder: Path, config: Config, codec: Codec) -> None:
    """The settings last: where they are, the codec is too."""
    write_json(folder / "codec.json", codec.to_json(), private=True)
    write_json(folder / "config.json", _settings(config))
