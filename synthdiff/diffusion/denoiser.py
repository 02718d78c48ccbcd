"""From a network to a denoise function: what samplers, losses and audits call.

Here the two halves of the state meet the layout: known columns show through, continuous parts are
scaled to unit variance, and values that a record's own category rules out are hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from synthdiff.diffusion.process import compute_alpha_bar, mask_codes, x0_from_v
from synthdiff.diffusion.schedules import Levels, Schedule, part_log_snr, unit_power
from synthdiff.layout import Layout, Records


class Prediction(NamedTuple):
    """What a denoiser says of clean records.

    x0: [batch, num_continuous]. logits: one [batch, parts, width] array per layout bucket.
    """

    x0: jax.Array
    logits: tuple[jax.Array, ...]


class Guesses(NamedTuple):
    """Several predictions of each record, of which one holds with chance exp(log_prior).

    x0: [batch, components, num_continuous]. logits: per bucket [batch, components, parts, width].
    log_prior: [batch, components].
    """

    x0: jax.Array
    logits: tuple[jax.Array, ...]
    log_prior: jax.Array

    def average(self) -> Prediction:
        """The mean of x0 and, as logits, the log of the mean probabilities."""
        if self.log_prior.shape[1] == 1:
            return Prediction(self.x0[:, 0], tuple(scores[:, 0] for scores in self.logits))
        x0 = jnp.einsum("bk,bkp->bp", jnp.exp(self.log_prior), self.x0)
        weight = self.log_prior[:, :, None, None]
        logits = tuple(
            logsumexp(jax.nn.log_softmax(scores) + weight, axis=1) for scores in self.logits
        )
        return Prediction(x0, logits)


def known_parts(known: jax.Array, layout: Layout) -> Records:
    """Spreads a mask over tokens [..., num_tokens] to the parts of each token."""
    return Records(
        known[..., jnp.asarray(layout.continuous_token, jnp.int32)],
        known[..., jnp.asarray(layout.categorical_token, jnp.int32)],
    )


def _gate_codes(categorical: jax.Array, layout: Layout) -> tuple[jax.Array, jax.Array]:
    """Code and mask code of each continuous part's gate; ungated parts read as code 0."""
    gate = jnp.asarray(layout.gate, jnp.int32)
    padded = jnp.pad(categorical, [(0, 0)] * (categorical.ndim - 1) + [(0, 1)])
    masked = jnp.pad(mask_codes(layout), (0, 1), constant_values=-1)
    return padded[..., gate], masked[gate]  # index -1 is the zero that pads the end


def is_present(categorical: jax.Array, layout: Layout) -> jax.Array:
    """bool [..., num_continuous]: the clean record has a value in this continuous part."""
    return _gate_codes(categorical, layout)[0] < jnp.asarray(layout.num_bins)


def may_be_present(categorical: jax.Array, layout: Layout) -> jax.Array:
    """As `is_present` for a noisy record: where the gate is still masked, the value may exist."""
    code, masked = _gate_codes(categorical, layout)
    return (code < jnp.asarray(layout.num_bins)) | (code == masked)


def get_power(params: dict, layout: Layout) -> Levels:
    """The time warp in the params: learnt where the schedule is learnable, else one."""
    if "schedule" not in params:
        return unit_power(layout.num_continuous, layout.num_categorical)
    return Levels(*(jnp.exp(params["schedule"][name]) for name in Levels._fields))


def _none_of(records: Records) -> Records:
    """The mask of known parts where none is."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, bool), records)


@dataclass(frozen=True)
class Denoiser:
    """A network, with the records and the noise that it is for.

    apply_fn(params["network"], visible: Records, log_snr [b], known: Records[, pick]) -> (v,
    logits), or (v, logits, log_prior) of several guesses, as in models.
    """

    apply_fn: Callable
    layout: Layout
    schedule: Schedule

    def levels(self, params: dict, t: jax.Array) -> Levels:
        """log-SNR of every part at times t [batch]."""
        return part_log_snr(self.schedule, t, get_power(params, self.layout))

    def __call__(
        self,
        params: dict,
        z: Records,
        t: jax.Array,
        given: Records,
        known: Records,
        pick: jax.Array | None = None,
    ) -> Guesses:
        """What is guessed of noisy records z at times t [batch]; `given` shows where known.

        The network sees continuous parts at unit variance, and zero where the record's own category
        says that there is no value. pick: uniforms [batch] that draw one of its guesses; all
        otherwise.
        """
        levels = self.levels(params, t)
        visible = self._show(z, levels, given, known)
        log_snr, picked = self.schedule.log_snr(t), () if pick is None else (pick,)
        v, logits, *prior = self.apply_fn(params["network"], visible, log_snr, known, *picked)
        if not prior or pick is not None:  # one guess, which has no axis of its own
            v, logits = jax.tree.map(lambda x: x[:, None], (v, logits))
            prior = [jnp.zeros((len(v), 1))]
        x0_of = jax.vmap(partial(x0_from_v, z.continuous, log_snr=levels.continuous), 1, 1)
        return Guesses(x0_of(v), logits, prior[0])

    def unaided(self, params: dict, z: Records, t: jax.Array) -> Prediction:
        """The mean of what is guessed of records z at times t [b], nothing given as known."""
        return self(params, z, t, z, _none_of(z)).average()

    def embed(self, params: dict, x0: Records) -> jax.Array:
        """What the network makes of whole clean records [batch], all of each visible: [batch, d].

        At the clean end of the schedule, and as noisy records that happen to have no noise: nothing
        is marked as known, which few records are in training.
        """
        t, unknown = jnp.zeros(len(x0.continuous)), _none_of(x0)
        visible = self._show(x0, self.levels(params, t), x0, unknown)
        log_snr = self.schedule.log_snr(t)
        return self.apply_fn(params["network"], visible, log_snr, unknown, embed=True)

    def _show(self, z: Records, levels: Levels, given: Records, known: Records) -> Records:
        """What the network sees of noisy records at these log-SNRs."""
        categorical = jnp.where(known.categorical, given.categorical, z.categorical)
        scaled = z.continuous * jnp.sqrt(compute_alpha_bar(levels.continuous))
        continuous = jnp.where(known.continuous, given.continuous, scaled)
        present = may_be_present(categorical, self.layout)
        return Records(jnp.where(present, continuous, 0.0), categorical)
