"""Stratified uniforms: exact strata, no dependence between parts, and what they are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthdiff.diffusion.keys import purpose_key
from synthdiff.diffusion.spread import STRATA, spread_uniform

PARTS = 7


def draw(count, seed=0, first=0, parts=PARTS):
    index = jnp.arange(first, first + count)
    return np.asarray(
        jax.jit(spread_uniform, static_argnums=2)(purpose_key(seed, "x"), index, parts)
    )


def test_every_block_has_one_record_per_stratum():
    strata = np.floor(draw(3 * STRATA) * STRATA).astype(int).reshape(3, STRATA, PARTS)
    assert (np.sort(strata, axis=1) == np.arange(STRATA)[:, None]).all()
    # the order is another one for each block and part
    orders = strata.transpose(0, 2, 1).reshape(-1, STRATA)
    assert len(np.unique(orders, axis=0)) == 3 * PARTS


def test_a_record_does_not_depend_on_the_batch():
    np.testing.assert_array_equal(draw(2 * STRATA)[700:900], draw(200, first=700))


def test_each_value_is_uniform_and_parts_are_independent():
    values = draw(20 * STRATA, parts=12)
    over_seeds = np.stack([draw(4, seed=seed) for seed in range(300)])[:, 3, 0]
    assert stats.kstest(over_seeds, "uniform").pvalue > 1e-3  # one record's, over keys
    correlation = np.corrcoef(values.T)[np.triu_indices(12, 1)] * np.sqrt(len(values))
    assert np.abs(correlation).max() < 4.5 and np.std(correlation) < 1.4
    # nor do neighbours in the table follow one another
    lagged = np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1] * np.sqrt(len(values))
    assert abs(lagged) < 4.5
    grid = np.histogram2d(values[:, 0], values[:, 1], 8, [[0, 1], [0, 1]])[0]
    assert stats.chisquare(grid.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_shares_of_a_category_vary_less_than_by_chance(share):
    counts = [(draw(STRATA, seed=seed, parts=1) < share).mean() for seed in range(40)]
    by_chance = np.sqrt(share * (1 - share) / STRATA)
    assert np.sqrt(np.mean((np.array(counts) - share) ** 2)) < 0.2 * by_chance
