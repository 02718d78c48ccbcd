"""Differentially private training: clipped gradients of whole patients, plus Gaussian noise.

One step takes a Poisson sample of patients, clips the gradient of each patient's loss (all rows,
and `noise_multiplicity` times and noises per row), adds up, adds noise and divides by the expected
sample size (Abadi et al. 2016, arXiv 1607.00133; multiplicity: Dockhorn et al. 2022, arXiv
2210.09929). What follows, optimiser and moving average, sees nothing else of the data.

Guarantee: (epsilon, delta) for adding or removing one patient with all rows, against anyone who
sees all weights of all steps. It takes the number of patients as public, the secret as secret, and
floating-point Gaussians from a 64-bit counter-based generator as Gaussians.
"""

from __future__ import annotations

import math
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import binom

from synthdiff._files import make_folder, write_atomically
from synthdiff._validate import in_range, input_error, positive
from synthdiff.diffusion.keys import record_keys
from synthdiff.layout import Records
from synthdiff.train.device_table import AXIS, DeviceTable, take_rows
from synthdiff.train.optim import TrainConfig
from synthdiff.train.privacy_engine import (
    calibrate_sigma,
    compute_epsilon,
    make_clipped_sum,
    make_event,
)
from synthdiff.train.state import TrainState, keep_whole
from synthdiff.train.step import advance

OVERFLOW = 1e-20  # chance per step that a sample exceeds the capacity


@dataclass(frozen=True)
class DpConfig:
    """Differential privacy; off while epsilon is 0. With gradients batch_size counts patients.

    Shares are of 1 / sigma^2, which adds up over Gaussian releases (of rho in zero-concentrated
    DP). What they leave is for gradients; where nothing is left, the network is trained on records
    drawn from the tree alone, which costs nothing. A run that begins at another model spends all on
    gradients.

    epsilon: the whole budget, codec included; 0 for none. delta: that belongs to it.
    max_rows_per_patient: more are dropped at random. codec_share: of the budget, for the codec's
    histograms. tree_share: of the budget, for a tree of pair tables, half of it to choose the
    pairs; none where a column is a code set. tree_steps: on records drawn from the tree, if there
    is one, before those on gradients. clip_norm: of one patient's gradient. noise_multiplicity:
    times and noises per row and step.
    """

    epsilon: float = 0.0
    delta: float = 1e-5
    clip_norm: float = 1.0
    noise_multiplicity: int = 4
    max_rows_per_patient: int = 4
    codec_share: float = 0.7
    tree_share: float = 0.3
    tree_steps: int = 1000

    def __post_init__(self) -> None:
        positive(
            delta=self.delta,
            clip_norm=self.clip_norm,
            noise_multiplicity=self.noise_multiplicity,
            max_rows_per_patient=self.max_rows_per_patient,
            tree_steps=self.tree_steps,
        )
        in_range(0.0, math.inf, epsilon=self.epsilon)
        shares = {"codec_share": self.codec_share, "tree_share": self.tree_share}
        in_range(0.0, 1.0, delta=self.delta, **shares)
        if self.gradient_share < 0.0 or (not self.tree_share and not self.gradient_share):
            problem = f"{self.codec_share:g} and dp.tree_share {self.tree_share:g}"
            fix = "choose both so that their sum is at most 1, or below 1 without a tree"
            raise input_error("dp.codec_share", problem, fix)

    def spend_on_gradients(self) -> DpConfig:
        """The config of a run whose codec is another model's."""
        return replace(self, codec_share=0.0, tree_share=0.0)

    @property
    def gradient_share(self) -> float:
        """What codec and tree leave of the budget."""
        return round(1.0 - self.codec_share - self.tree_share, 9)


@dataclass(frozen=True)
class GradientPlan:
    """How patients are sampled and their gradients noised, for a number of steps.

    sigma: noise of the summed gradient in units of clip_norm. rate: chance of a patient to be in
    a step's sample. capacity: places in the padded sample.
    """

    sigma: float
    clip_norm: float
    rate: float
    num_steps: int
    num_patients: int
    capacity: int

    @property
    def expected_batch(self) -> float:
        """The fixed normaliser B of the clipped sum: never the size of a sample itself."""
        return self.rate * self.num_patients


@dataclass(frozen=True)
class PrivacyPlan:
    """What a private run does, fixed before it sees the data (beyond the number of patients).

    codec_sigma, tree_sigma: noise multipliers of the codec's histograms and of each of the tree's
    two releases, if there are any. gradients: None where training sees no patient.
    """

    codec_sigma: float | None
    tree_sigma: float | None
    gradients: GradientPlan | None
    num_patients: int
    delta: float
    epsilon_pld: float
    epsilon_rdp: float


def plan_privacy(dp: DpConfig, train: TrainConfig, num_patients: int, multiple: int) -> PrivacyPlan:
    """Finds the noise that spends exactly the budget. multiple: what capacity must divide by.

    Gaussian releases of sigma_i cost together as one of 1 / sqrt(sum of 1 / sigma_i^2), adaptive
    ones too (Dong, Roth, Su 2022, arXiv 1905.02383, corollary 3.3).
    Raises InputError where delta is not below one in num_patients, the batch is larger than the
    table, or the extra `dp` is not installed.
    """
    if dp.delta * num_patients >= 1.0:
        problem = f"{dp.delta:g} is not below 1 / {num_patients} patients"
        raise input_error("dp.delta", problem, "choose a smaller delta")
    whole = calibrate_sigma(dp.epsilon, dp.delta, 1.0, 1)
    event = make_event(0.0, 0.0, 0, whole)
    gradients, overflow = None, 0.0
    if dp.gradient_share:
        spent_before = 1.0 - dp.gradient_share
        released = whole / math.sqrt(spent_before) if spent_before else math.inf
        gradients, overflow = _plan_gradients(dp, train, num_patients, multiple, released)
        event = make_event(gradients.sigma, gradients.rate, gradients.num_steps, released)
    spent = compute_epsilon(event, dp.delta)
    return PrivacyPlan(
        whole / math.sqrt(dp.codec_share) if dp.codec_share else None,
        whole / math.sqrt(dp.tree_share / 2.0) if dp.tree_share else None,
        gradients,
        num_patients,
        dp.delta + train.num_steps * overflow * (1.0 + math.exp(min(spent, 700.0))),
        spent,
        compute_epsilon(event, dp.delta, "rdp"),
    )


def _plan_gradients(
    dp: DpConfig, train: TrainConfig, num_patients: int, multiple: int, released: float
) -> tuple[GradientPlan, float]:
    """What the gradients may do with the rest of the budget, and the chance per step that a sample
    exceeds its places."""
    if train.batch_size > num_patients:
        problem = f"{train.batch_size} patients per step of {num_patients}"
        raise input_error(
            "train.batch_size", problem, "lower it: with gradients it counts patients"
        )
    rate = train.batch_size / num_patients
    sigma = calibrate_sigma(dp.epsilon, dp.delta, rate, train.num_steps, released)
    most, overflow = find_capacity(num_patients, rate)
    capacity = -(-most // multiple) * multiple
    plan = GradientPlan(sigma, dp.clip_norm, rate, train.num_steps, num_patients, capacity)
    return plan, overflow


def find_capacity(num_patients: int, rate: float) -> tuple[int, float]:
    """Places that a Poisson sample all but never exceeds, and the chance that it does."""
    tail = binom.sf(np.arange(num_patients + 1), num_patients, rate)
    most = int(np.argmax(tail <= OVERFLOW))
    return max(most, 1), float(tail[most])


def draw_secret(path: Path | None) -> int:
    """128 secret bits: read from the file of an earlier start, else fresh from the system.

    Sampling and noise are functions of the secret, so whoever has it can undo the noise. The file
    is readable by its owner only and no part of a release.
    """
    if path and path.exists():
        content = path.read_text(errors="replace")
        if not re.fullmatch(r"[0-9a-f]{32}", content):
            fix = "restore the file, or begin again in an empty folder: the budget is spent anew"
            raise input_error(str(path), "is damaged, not 32 hexadecimal digits", fix)
        return int(content, 16)
    secret = secrets.randbits(128)
    if path:
        make_folder(path.parent)
        write_atomically(path, f"{secret:032x}".encode(), private=True)
    return secret


def secret_key(secret: int, purpose: str) -> jax.Array:
    """The key of one use of the secret: as `purpose_key`, but with 64 bits that nobody knows."""
    words = jnp.array([secret & 0xFFFFFFFF, secret >> 32 & 0xFFFFFFFF], jnp.uint32)
    return jax.random.fold_in(jax.random.wrap_key_data(words), zlib.crc32(purpose.encode()))


def make_patient_loss(loss_fn: Callable, multiplicity: int) -> Callable:
    """Builds `f(params, records [rows, ...], present [rows], key) -> scalar` for one patient.

    The sum over the patient's rows, divided by the fixed rows, of the mean over parts and over
    `multiplicity` draws, whose times are spread evenly over [0, 1).
    """

    def patient_loss(
        params: dict, records: Records, present: jax.Array, key: jax.Array
    ) -> jax.Array:
        total = multiplicity * len(present)
        batch = jax.tree.map(lambda x: jnp.tile(x, (multiplicity,) + (1,) * (x.ndim - 1)), records)
        keys = record_keys(key, jnp.arange(total))
        offset = jax.random.uniform(jax.random.fold_in(key, total))
        u = jnp.mod(offset + jnp.arange(total) / total, 1.0)
        terms = loss_fn(params, batch, keys, u).mean(axis=1)
        return jnp.sum(terms * jnp.tile(present, multiplicity)) / total

    return patient_loss


def add_noise(tree: dict, key: jax.Array, stddev: float) -> dict:
    """The pytree with independent Gaussian noise on every number."""
    return jax.tree.map(
        lambda leaf, noise: leaf + stddev * noise,
        tree,
        optax.tree.random_like(key, tree, jax.random.normal),
    )


def make_private_step(
    loss_fn: Callable,
    tx: optax.GradientTransformation,
    config: TrainConfig,
    dp: DpConfig,
    plan: GradientPlan,
    secret: int,
    split: Callable[[dict], tuple[dict, Callable]] = keep_whole,
) -> Callable:
    """Builds `step(state, table, patients [b], position [b])` for use under AXIS.

    table: of (records [num_patients, max_rows, ...], present [num_patients, max_rows]), where a
    patient with fewer rows has zeros: padding may hold nobody's values, or not a number in them
    would reach the gradient of others. Patients are padded with -1.
    split(params) -> (those that move, merge): the others stay and get no noise. The noise is drawn
    once, from a key that all devices share, after the sums of all devices are added. The only
    metric is the norm of the noisy gradient: loss and true norm are not private.
    """
    patient_loss = make_patient_loss(loss_fn, dp.noise_multiplicity)
    noise_key, draw_key = secret_key(secret, "noise"), secret_key(secret, "train")

    def step(
        state: TrainState, table: DeviceTable, patients: jax.Array, position: jax.Array
    ) -> tuple:
        moved, merge = split(state.params)

        theirs, count = take_rows(table, patients), len(patients)

        def loss_of(moved: dict, place: jax.Array, key: jax.Array) -> jax.Array:
            return patient_loss(merge(moved), *jax.tree.map(lambda x: x[place], theirs), key)

        chosen = jnp.maximum(patients, 0)
        keys = record_keys(jax.random.fold_in(draw_key, state.step), chosen)
        microbatch = count // config.accumulate if config.accumulate > 1 else None
        clipped_sum = make_clipped_sum(loss_of, plan.clip_norm, plan.expected_batch, microbatch)
        grads = clipped_sum(moved, jnp.arange(count), keys, is_padding_example=patients < 0)
        grads = jax.lax.psum(grads, AXIS)
        stddev = plan.sigma * clipped_sum.sensitivity()
        grads = add_noise(grads, jax.random.fold_in(noise_key, state.step), stddev)
        part = TrainState(state.step, moved, split(state.ema_params)[0], state.opt_state)
        part = advance(part, grads, tx, config)
        whole = TrainState(part.step, merge(part.params), merge(part.ema_params), part.opt_state)
        return whole, {"grad_norm": optax.global_norm(grads)}

    return step


def describe_privacy(dp: DpConfig, plan: PrivacyPlan, ledger: list[dict], public: dict) -> dict:
    """The manifest's account: claim, mechanism and the whole ledger."""
    account = {
        "epsilon": plan.epsilon_pld,
        "delta": plan.delta,
        "epsilon_rdp": plan.epsilon_rdp,
        "accountant": "privacy loss distributions, the whole ledger composed (dp-accounting)",
        "adjacency": "add or remove one patient with all rows",
        "training": "on records drawn from the tree: no patient is looked at",
    }
    if gradients := plan.gradients:
        training = {
            "step": "training: Poisson-sampled Gaussian mechanism on clipped gradients of patients",
            "mechanism": "Poisson-subsampled Gaussian",
            "noise_multiplier": gradients.sigma,
            "sampling_rate": gradients.rate,
            "steps": gradients.num_steps,
        }
        ledger = [*ledger, training]
        account |= {
            "training": "on clipped and noised gradients of patients",
            "sampler": f"Poisson, padded to {gradients.capacity}",
            "expected_batch": gradients.expected_batch,
        }
    return account | {
        "config": asdict(dp),
        "ledger": ledger,
        "public": {"patients": plan.num_patients, **public},
        "not covered": "choices made by looking at the data before (settings, columns, schema); "
        "evaluation, audit and report, which are computed on real rows without noise",
    }
