"""Uniforms that fill [0, 1) evenly over the records of a table, for each part by itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp

STRATA_BITS = 9
STRATA = 1 << STRATA_BITS  # consecutive records that share out one stratum each, part by part
ROUNDS = 3


def spread_uniform(key: jax.Array, index: jax.Array, num_parts: int) -> jax.Array:
    """One uniform per record and part [n, num_parts], stratified over every STRATA records.

    A Latin hypercube sample (McKay, Beckman & Conover 1979): each value by itself is uniform and
    independent of the record's others, while STRATA consecutive records from a multiple of it have
    one value in each of STRATA equal intervals. Sums over the table then vary less than those of
    independent draws (Stein 1987). A pure function of key and the global record index.
    """

    def draw(i: jax.Array) -> jax.Array:
        bits = jax.random.bits(jax.random.fold_in(key, i // STRATA), (ROUNDS, 2, num_parts))
        stratum = _permute(jnp.full(num_parts, i % STRATA, jnp.uint32), bits)
        within = jax.random.uniform(jax.random.fold_in(jax.random.fold_in(key, 1), i), (num_parts,))
        return (stratum + within) / STRATA

    return jax.vmap(draw)(index)


def _permute(x: jax.Array, bits: jax.Array) -> jax.Array:
    """A random permutation of 0 .. STRATA - 1 per part: rounds of steps that each can be undone."""
    for scale, shift in bits:
        x = x * (scale | 1) + shift  # odd factors are invertible modulo a power of two
        x = x & (STRATA - 1)
        x = x ^ (x >> (STRATA_BITS // 2 + 1))
    return x
