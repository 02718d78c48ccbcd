"""When categories are shown: alone where steps suffice, else in groups that grow."""

import jax
import numpy as np
import pytest
from scipy import stats

from synthdiff.diffusion.unmasking import draw_turns, share_visible
from synthdiff.layout import Layout

RECORDS = 4000
CIRCLE = (2, 0, 3, 1, 4)  # the place on it of each part
IN_ORDER = np.argsort(CIRCLE)


def draw(turns, num_steps):
    layout = Layout(tuple("abcde"), (), tuple(range(5)), (2,) * 5, (), (), turns=turns)
    uniform = jax.random.uniform(jax.random.key(0), (2, RECORDS, 5))
    return np.asarray(draw_turns(*uniform, layout, num_steps)), np.asarray(uniform[0])


def test_shares_by_hand():
    np.testing.assert_allclose(share_visible(5, 3), np.array([0, 1, 3, 5]) / 5)
    counts = [0, 1, 2, 3, 5, 7, 10, 12, 15]  # 15 (k / 8)^1.5 is .7, 1.9, 3.4, 5.3, ...
    np.testing.assert_allclose(share_visible(15, 8) * 15, counts)
    np.testing.assert_allclose(share_visible(3, 8), np.arange(9) / 8)
    np.testing.assert_allclose(share_visible(0, 4), np.arange(5) / 4)


@pytest.mark.parametrize("num_parts", [2, 15, 40, 2000])
@pytest.mark.parametrize("num_steps", [2, 3, 8, 32, 100])
def test_every_step_shows_whole_parts_and_late_ones_more(num_parts, num_steps):
    counts = share_visible(num_parts, num_steps) * num_parts
    assert counts[0] == 0 and counts[-1] == num_parts
    if num_steps < num_parts:
        shown = np.diff(counts)
        np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)
        assert shown.min() > 1 - 1e-9 and shown[-1] == pytest.approx(shown.max(), abs=1.01)
        assert num_parts < 10 * num_steps or shown[-1] > 1.5 * shown[0]


@pytest.mark.parametrize(("turns", "num_steps"), [((), 2), (CIRCLE, 3), (CIRCLE, 5)])
def test_turns_are_uniform_and_lie_evenly(turns, num_steps):
    turns, chance = draw(turns, num_steps)
    for part in range(5):
        assert stats.kstest(turns[:, part], "uniform").pvalue > 1e-3
    gaps = np.diff(np.sort(turns, axis=1), axis=1)
    np.testing.assert_allclose(gaps, 0.2, atol=1e-6)
    # the order is random: each part is first in about a fifth of the records
    assert stats.chisquare(np.bincount(turns.argmin(1), minlength=5)).pvalue > 1e-3
    # power: turns by chance, as masking has them, often lie closer
    assert (np.diff(np.sort(chance, axis=1), axis=1).min(axis=1) < 0.1).mean() > 0.5


def test_with_few_steps_neighbours_on_the_circle_share_one():
    """Five parts in three steps: one, two and two in a row, from anywhere on, in any order."""
    turns, _ = draw(CIRCLE, 3)
    step = np.digitize(turns, share_visible(5, 3)[1:-1])[:, IN_ORDER]
    np.testing.assert_array_equal(np.sort(step, axis=1), [[0, 1, 1, 2, 2]] * RECORDS)
    borders = (step != np.roll(step, 1, axis=1)).sum(axis=1)
    assert (borders == 3).all()
    first = np.bincount(step.argmin(axis=1), minlength=5)  # where the first of all parts lies
    assert stats.chisquare(first).pvalue > 1e-3
    apart = np.digitize(draw((), 3)[0], share_visible(5, 3)[1:-1])[:, IN_ORDER]  # power
    assert ((apart != np.roll(apart, 1, axis=1)).sum(axis=1) == 5).mean() > 0.2
