"""The three-line API: fit a table, sample a table, save and load without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import flax
import jax
import numpy as np
import pandas as pd

from synthdiff._files import (
    make_folder,
    parse_json,
    read_sealed,
    seal,
    write_atomically,
    write_json,
)
from synthdiff._validate import input_error, positive, require_version
from synthdiff.config import Config
from synthdiff.data.batches import make_batches
from synthdiff.data.codec import Codec, count_shares
from synthdiff.data.conform import coerce, conform
from synthdiff.data.coverage import require_covered
from synthdiff.data.doctor import require_healthy
from synthdiff.data.dtypes import to_dtype, to_values
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.visit_records import PLAN, plan_records, read_plan, require_records, to_rows
from synthdiff.data.visits import VisitPlan, number_records, widen
from synthdiff.diffusion.keys import purpose_key
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.embedding import embed_records
from synthdiff.layout import Records
from synthdiff.models.config import split_outputs, start_at_shares
from synthdiff.private_run import PrivateRun
from synthdiff.run_folder import (
    MODEL_FILES,
    VERSION,
    claim,
    describe_settings,
    hold_run,
    write_settings,
)
from synthdiff.sampling import draw_table
from synthdiff.train.checkpoint import hash_tree
from synthdiff.train.loop import fit as fit_loop
from synthdiff.train.optim import make_optimizer
from synthdiff.train.parallel import make_parallel_train, to_devices
from synthdiff.train.processes import ask_first, require_same
from synthdiff.train.state import create_state, keep_whole
from synthdiff.train.step import make_train_step


@dataclass(frozen=True)
class Synthesizer:
    """A trained model: codec, config and the averaged weights; holds no training record.

    privacy: what a run with differential privacy guarantees, and its ledger; else None.
    visits: how the rows of a patient become the record that is modelled, whose columns are those of
    the codec; None where each row is a record.
    """

    codec: Codec
    config: Config
    params: dict
    privacy: dict | None = None
    visits: VisitPlan | None = None

    @property
    def schema(self) -> Schema:
        """Of the tables that are learnt from and drawn."""
        return self.visits.schema if self.visits else self.codec.schema

    def to_records(self, df: pd.DataFrame) -> pd.DataFrame:
        """The records of a table, as the codec takes them; it is conformed."""
        df = conform(df, self.schema)
        return widen(df, self.visits) if self.visits else df

    def number_records(self, df: pd.DataFrame) -> np.ndarray:
        """Of each row of a table the number of its record. int [rows]"""
        return number_records(df, self.schema) if self.visits else np.arange(len(df))

    def to_rows(self, records: pd.DataFrame, first: int = 0) -> pd.DataFrame:
        """The rows of drawn records, of which the first has this number."""
        return to_rows(records, self.codec, self.visits, first) if self.visits else records

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

        Where rows are visits, a record is a patient with all visits, which are rows in order.
        The same seed gives the same records for any device count, and record i does not depend on
        num_rows: `first` skips records, so that a table may be drawn piece by piece.
        where: fixed columns of the record, such as {"sex": "F"} or {"num_visits": 3}; guidance > 0
        sharpens the condition at twice the cost.
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
        return self.to_rows(table, first)

    def impute(self, df: pd.DataFrame, *, first: int = 0, seed: int = 0) -> pd.DataFrame:
        """Fills whole missing columns: draws the columns that `df` lacks given those it has.

        The cells and the index of `df` come back as they are, missing cells included. A piece of
        a table is filled as within the whole if `first` says where it begins. Where rows are
        visits, `df` has one row per patient, with columns of the record such as "num_visits" or
        "dose@1", and the visits come back, with an index of their own.
        """
        if self.visits:
            require_records(df, self.visits)
        table = draw_table(
            self.codec, self.config, self.params, df, first=first, num_rows=len(df), seed=seed
        )
        table = table.set_axis(df.index).assign(**{name: df[name] for name in df.columns})
        return self.to_rows(table, first)

    def embed(self, df: pd.DataFrame) -> np.ndarray:
        """Where the network puts each row, to search and to compare by: float32 [rows, d].

        Equal rows are at one place, whichever others are asked for. Where rows are visits, each has
        the place of its patient's record. Raises InputError where a column or every row is lacking.
        """
        positive(rows=len(df))
        records = self.codec.encode(self.to_records(df), None)
        model, schedule, layout = self.config.model, self.config.schedule, self.codec.layout
        found = embed_records(model, schedule, layout, self.params, records)
        return found[self.number_records(df)]

    def save(self, folder: str | Path) -> None:
        """Writes config.json, codec.json and weights.msgpack into the folder, with their hashes.

        Also privacy.json and visits.json, where there is something to say.
        """
        folder = make_folder(folder)
        weights = flax.serialization.to_bytes(jax.tree.map(np.asarray, self.params))
        write_settings(folder, describe_settings(self.config, self.codec, self.visits))
        write_atomically(folder / "weights.msgpack", weights, private=True)
        if self.privacy:
            write_json(folder / "privacy.json", self.privacy)
        more = {"privacy.json": self.privacy, PLAN: self.visits}
        for name in (name for name, content in more.items() if not content):
            (folder / name).unlink(missing_ok=True)  # of another model
        seal(folder, *MODEL_FILES, *(name for name, content in more.items() if content))


def load(folder: str | Path) -> Synthesizer:
    """Reads what `Synthesizer.save` or a training run wrote; executes no code from the files.

    Raises InputError that names the file which is missing, damaged or of another run.
    """
    folder = Path(folder)
    fix = "name a folder with a finished run, or train again with the same settings, which resumes"
    content = {name: read_sealed(folder / name, fix) for name in MODEL_FILES}
    data, table = (parse_json(folder / name, content[name], fix) for name in MODEL_FILES[:2])
    require_version(str(folder), data.pop("version", None), VERSION)
    try:
        where = folder / "config.json"
        config = Config.from_json(data)
        where = folder / "codec.json"
        codec = Codec.from_json(table)
    except (TypeError, KeyError) as error:
        raise input_error(str(where), f"bad field ({error})", fix) from error
    template = jax.eval_shape(config.make_denoiser(codec.layout)[0], jax.random.key(0))
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
    return Synthesizer(codec, config, params, privacy, read_plan(folder / PLAN, codec.schema, fix))


def fit(
    df: pd.DataFrame,
    schema: Schema | None = None,
    *,
    config: Config | None = None,
    folder: str | Path | None = None,
    seed: int | None = None,
    start: Synthesizer | None = None,
    max_visits: int | None = None,
    progress: bool = True,
) -> Synthesizer:
    """Trains a model on a table (training rows only: split by patient before).

    schema: that of `start` where absent, else inferred; with an order of visits, the record that is
    modelled is the patient (or group) with up to `max_visits` of them, by default as many as 95 %
    of patients have (see data/visits.py). folder: where checkpoints, metrics and the
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
    schema = schema or (start.schema if start else infer_schema(df))
    require_healthy(df, schema)
    df = conform(df, schema)
    visits = plan_records(
        df,
        schema,
        max_visits=max_visits,
        min_patients=config.min_patients,
        private=bool(config.dp.epsilon),
        first=start.visits if start else None,
    )
    if visits:
        df, schema = widen(df, visits), visits.wide
        require_healthy(df, schema)
    with hold_run(folder) as ours:
        return _fit(df, schema, config, ours, progress, start, visits)


def _fit(
    df: pd.DataFrame,
    schema: Schema,
    config: Config,
    folder: Path | None,
    progress: bool,
    start: Synthesizer | None,
    visits: VisitPlan | None,
) -> Synthesizer:
    """`fit` of conformed records, in a folder that is ours."""
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
        codec = Codec.fit(df, schema, min_patients=config.min_patients)
    if not private:
        config = replace(config, train=config.train.limit_steps(len(df)))
    source = private or Records(*codec.encode(df, np.random.default_rng([config.train.seed, 0])))
    return train(codec, source, patients, config, visits, folder, progress, start)


def train(
    codec: Codec,
    source: Records | PrivateRun,
    patients: np.ndarray | None,
    config: Config,
    visits: VisitPlan | None,
    folder: Path | None,
    progress: bool,
    start: Synthesizer | None = None,
) -> Synthesizer:
    """Begins or resumes the run in its folder, which is ours, trains the model and saves it there.

    source: as of `_run_loop`.
    """
    if folder:
        ask_first(lambda: claim(folder, describe_settings(config, codec, visits)))
    params = _run_loop(codec, source, patients, config, folder, progress, start)
    account = source.account if isinstance(source, PrivateRun) else None
    model = Synthesizer(codec, config, params, account, visits)
    if folder:
        ask_first(lambda: model.save(folder))
    return model


def _run_loop(
    codec: Codec,
    source: Records | PrivateRun,
    patients: np.ndarray | None,
    config: Config,
    folder: Path | None,
    progress: bool,
    start: Synthesizer | None,
) -> dict:
    """Runs the training loop over the devices; the averaged params, on the host.

    source: encoded records, of these patients; or a private run, which draws its own and, where it
    begins at another model, moves the outputs alone.
    """
    seed, layout = config.train.seed, codec.layout
    init_fn, denoiser = config.make_denoiser(layout)
    tx = make_optimizer(config.train)
    loss_fn = make_loss_fn(denoiser, condition_rate=config.train.condition_rate)
    split = split_outputs if start and isinstance(source, PrivateRun) else keep_whole
    if isinstance(source, PrivateRun):
        step, data, rows_of = source.prepare(loss_fn, tx, config.train, split)
        shares = source.shares
    else:
        step, data = make_train_step(loss_fn, tx, config.train), source
        shares = count_shares(data, layout)
        rows_of = make_batches(patients, len(data.continuous), config.train.batch_size, seed)
    require_same("the training table or its settings", (np.array(repr(config)), data))
    run = make_parallel_train(step, data, donate=True)
    if start:
        params = start.params
    else:
        params = start_at_shares(jax.jit(init_fn)(purpose_key(seed, "init")), layout, shares)
    if isinstance(source, PrivateRun):
        params = source.warm_up(params, loss_fn, config.train, folder, progress=progress)
    state = fit_loop(
        to_devices(create_state(params, tx, split(params)[0])),
        run,
        rows_of,
        config.train,
        layout.part_names,
        folder=folder,
        progress=progress,
    )
    return jax.tree.map(np.asarray, state.ema_params)


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
