"""Random keys as pure functions of (seed, purpose, step, record index)."""

from __future__ import annotations

import zlib

import jax


def purpose_key(seed: int, purpose: str) -> jax.Array:
    """The key of one use of randomness ("init", "train", "sample") under one seed."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))


def record_keys(key: jax.Array, index: jax.Array) -> jax.Array:
    """One key per global record index [n]: the same whatever the batch or the device count."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)
