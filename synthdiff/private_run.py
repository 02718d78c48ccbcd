"""A training run with differential privacy: plan, secret, codec and ledger, set up together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pandas as pd

from synthdiff._files import make_folder
from synthdiff._validate import positive
from synthdiff.data.batches import fill_roster, make_batches, make_roster, poisson_batches
from synthdiff.data.codec import Codec, number_patients
from synthdiff.data.private import cap_rows, fit_private_codec, list_public, require_public
from synthdiff.data.private_tree import PairTables, PairTree, fit_tree, release_pairs
from synthdiff.data.schema import Schema
from synthdiff.layout import Records
from synthdiff.train.dp import (
    DpConfig,
    PrivacyPlan,
    describe_privacy,
    draw_secret,
    make_private_step,
    plan_privacy,
)
from synthdiff.train.loop import fit
from synthdiff.train.optim import TrainConfig, make_optimizer
from synthdiff.train.parallel import make_parallel_train, to_devices
from synthdiff.train.processes import ask_first, is_first
from synthdiff.train.state import create_state
from synthdiff.train.step import make_train_step

CODEC, ROWS, JITTER, SAMPLES, TREE, DRAWN, TURNS = range(7)  # uses of the secret in NumPy
DRAWN_ROWS = 1 << 17  # records drawn from the tree, to train the network on
DRAWN_BATCH = 512  # or a few more, where that does not divide over the devices
TURN_ROWS = 20_000  # and to see which columns hang together
WARM_UP = "warm_up"  # folder of its states


@dataclass(frozen=True)
class PrivateRun:
    """table, patients: the capped training rows and whose they are. account: for the manifest.

    shares: of the categories of each categorical part, as noisy as the codec. tree: of pair tables
    as noisy as the plan says, if the run has one.
    """

    codec: Codec
    shares: tuple[np.ndarray, ...]
    table: pd.DataFrame
    patients: np.ndarray
    plan: PrivacyPlan
    dp: DpConfig
    secret: int
    account: dict
    tree: PairTree | None

    @classmethod
    def begin(
        cls,
        df: pd.DataFrame,
        schema: Schema,
        dp: DpConfig,
        train: TrainConfig,
        min_patients: int,
        folder: Path | None,
        first: Codec | None = None,
    ) -> PrivateRun:
        """Plans the noise, then spends the codec's share of the budget on a conformed table.

        first: the codec of a model that training begins at, taken as public, so that all of the
        budget is left for gradients. Without it, raises InputError where the schema leaves
        anything to be read from the data.
        """
        if first:
            dp = dp.spend_on_gradients()
        else:
            positive(**{"dp.codec_share": dp.codec_share})
            require_public(schema)
            if len(schema.features) < 2 or any(c.kind == "code_set" for c in schema.features):
                dp = replace(dp, tree_share=0.0)
        unit = schema.entity or "row"
        patients = number_patients(df, schema)
        multiple = jax.device_count() * train.accumulate
        plan = plan_privacy(dp, train, int(patients.max()) + 1, multiple)
        secret: int = ask_first(lambda: draw_secret(folder / "dp_secret" if folder else None))
        if first:
            table, patients = _cap(df, patients, dp, secret)
            public: dict[str, Any] = {"unit": unit, "codec and first weights": "another model's"}
            account = describe_privacy(dp, plan, [], public)
            return cls(first, (), table, patients, plan, dp, secret, account, None)
        found = release_tables(df, patients, schema, dp, plan, min_patients, secret)
        codec, tree = found.codec, None
        if found.pairs:
            tree = fit_tree(found.pairs)
            codec = codec.with_turns(tree.sample(TURN_ROWS, _make_rng(secret, TURNS)))
        public = {"unit": unit, "columns": list_public(schema)}
        account = describe_privacy(dp, plan, found.ledger, public)
        shares, table, patients = found.shares, found.table, found.patients
        return cls(codec, shares, table, patients, plan, dp, secret, account, tree)

    def prepare(
        self,
        loss_fn: Callable,
        tx: optax.GradientTransformation,
        train: TrainConfig,
        split: Callable,
    ) -> tuple[Callable, tuple, Callable]:
        """The step, its data and the rows of each step, for the training loop.

        With gradients: the encoded rows of each patient, and Poisson samples of patients. Else
        records drawn from the tree, and shuffled batches of them.
        """
        plan = self.plan.gradients
        if not plan:
            rows_of = make_batches(None, DRAWN_ROWS, train.batch_size, train.seed)
            return make_train_step(loss_fn, tx, train), self._draw(), rows_of
        records = Records(*self.codec.encode(self.table, _make_rng(self.secret, JITTER)))
        roster = make_roster(self.patients, self.dp.max_rows_per_patient)
        data = (
            Records(*(fill_roster(part, roster) for part in records)),
            (roster >= 0).astype(np.int8),
        )
        seed = (self.secret, SAMPLES)
        rows_of = partial(poisson_batches, plan.num_patients, plan.rate, plan.capacity, seed)
        step = make_private_step(loss_fn, tx, train, self.dp, plan, self.secret, split)
        return step, data, rows_of

    def warm_up(
        self, params: dict, loss_fn: Callable, train: TrainConfig, folder: Path | None, **loop: bool
    ) -> dict:
        """The params that gradients begin with: after ordinary steps on drawn records, if any."""
        if not (self.tree and self.plan.gradients):
            return params
        batch = -(-DRAWN_BATCH // jax.device_count()) * jax.device_count()
        train = replace(train, num_steps=self.dp.tree_steps, batch_size=batch, accumulate=1)
        tx = make_optimizer(train)
        step = make_train_step(loss_fn, tx, train)
        if folder and is_first():
            make_folder(folder / WARM_UP, private=True)
        return fit(
            to_devices(create_state(params, tx)),
            make_parallel_train(step, self._draw(), donate=True),
            make_batches(None, DRAWN_ROWS, train.batch_size, train.seed),
            train,
            self.codec.layout.part_names,
            folder=folder / WARM_UP if folder else None,
            **loop,
        ).ema_params

    def _draw(self) -> Records:
        assert self.tree  # a plan without gradients has one
        return self.tree.sample(DRAWN_ROWS, _make_rng(self.secret, DRAWN))


class Releases(NamedTuple):
    """What a private run takes from patients before any gradient, and the capped rows of whom.

    histograms: noisy counts of each column. pairs: scores and tables, if the plan has a tree.
    """

    table: pd.DataFrame
    patients: np.ndarray
    codec: Codec
    shares: tuple[np.ndarray, ...]
    histograms: tuple[np.ndarray, ...]
    pairs: PairTables | None
    ledger: list[dict]


def release_tables(
    df: pd.DataFrame,
    patients: np.ndarray,
    schema: Schema,
    dp: DpConfig,
    plan: PrivacyPlan,
    min_patients: int,
    secret: int,
) -> Releases:
    """Caps the rows of each patient, and spends the shares of codec and tree on what is left."""
    assert plan.codec_sigma  # for its share is positive
    table, patients = _cap(df, patients, dp, secret)
    most, rng = dp.max_rows_per_patient, partial(_make_rng, secret)
    codec, shares, entry, histograms = fit_private_codec(
        table, schema, most, plan.codec_sigma, min_patients, rng(CODEC)
    )
    ledger, pairs = [entry], None
    if plan.tree_sigma:
        records, layout = Records(*codec.encode(table, rng(JITTER))), codec.layout
        names = layout.part_names[layout.num_continuous :]
        target = names.index(schema.target) if schema.target in names else None
        pairs, entries = release_pairs(
            records, layout, shares, most, plan.tree_sigma, rng(TREE), target
        )
        ledger += entries
    return Releases(table, patients, codec, shares, histograms, pairs, ledger)


def _cap(
    df: pd.DataFrame, patients: np.ndarray, dp: DpConfig, secret: int
) -> tuple[pd.DataFrame, np.ndarray]:
    return cap_rows(df, patients, dp.max_rows_per_patient, _make_rng(secret, ROWS))


def _make_rng(secret: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([secret, purpose, 0])
