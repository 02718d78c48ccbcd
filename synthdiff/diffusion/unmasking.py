"""Which categories a sampler shows in which step, and how it draws them.

Parts shown in the same step are drawn independently of one another. So each has a step of its own
where steps suffice. Where they do not, parts that hang together come in different steps, and early
steps, when little is known yet that parts have in common, show fewer than late ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from synthdiff.diffusion.denoiser import Prediction
from synthdiff.diffusion.process import mask_codes
from synthdiff.layout import Layout

# With fewer steps than parts, (step / steps)^1.5 of them are visible. On Adult the errors with 8
# steps are 1.16 points at a power of 1, .98 at 1.5 and .99 at 2 (experiments/results/README.md).
POWER = 1.5


def share_visible(num_parts: int, num_steps: int) -> np.ndarray:
    """The share of visible parts before each step and after the last: [num_steps + 1], 0 to 1.

    Whole parts, at least one per step, where there are fewer steps than parts; else equal shares.
    """
    if num_steps >= num_parts:
        return np.arange(num_steps + 1) / num_steps
    return _count_visible(num_parts, num_steps) / num_parts


def _count_visible(num_parts: int, num_steps: int) -> np.ndarray:
    """The visible parts before each of fewer steps, and after the last: int32 [num_steps + 1]."""
    step = np.arange(num_steps + 1)
    share = (step / num_steps) ** POWER
    return np.maximum(step, np.rint(num_parts * share)).astype(np.int32)


def draw_turns(turn: jax.Array, other: jax.Array, layout: Layout, num_steps: int) -> jax.Array:
    """When each part's turn comes, in shares of visible categories: [batch, K] in [0, 1).

    turn, other: uniforms [batch, K]. A turn by itself is uniform, as masking by chance has it, and
    those of a record lie 1/K apart, in a random order. With fewer steps than parts, those of a step
    are neighbours on the circle of `layout.turns`, which is rotated and cut in a random order.
    """
    num_parts = turn.shape[-1]
    if not layout.turns or num_steps >= num_parts:
        rank = jnp.argsort(jnp.argsort(turn, axis=-1), axis=-1)
    else:
        rank = _rank_on_circle(turn[:, 0], other[:, :num_steps], layout, num_steps)
    return (rank + other[:, -1:]) / max(1, num_parts)


def _rank_on_circle(
    rotation: jax.Array, order: jax.Array, layout: Layout, num_steps: int
) -> jax.Array:
    """Which place in the order of turns each part has: int32 [batch, K].

    rotation [batch] and order [batch, num_steps]: uniforms.
    """
    num_parts = layout.num_categorical
    shown = jnp.asarray(_count_visible(num_parts, num_steps))
    step = jnp.argsort(order, axis=-1)  # of each arc of the circle
    length = jnp.diff(shown)[step]
    end = jnp.cumsum(length, axis=-1)
    start = (rotation[:, None] * num_parts).astype(jnp.int32)
    place = (jnp.asarray(layout.turns) + start) % num_parts
    arc = jax.vmap(lambda end, place: jnp.searchsorted(end, place, side="right"))(end, place)
    return place + jnp.take_along_axis(shown[step] - (end - length), arc, axis=-1)


def draw_categories(prediction: Prediction, uniform: jax.Array, layout: Layout) -> jax.Array:
    """Draws each part from its predicted distribution by inverting the CDF; int32 [batch, K]."""
    drawn = []
    for bucket, logits in zip(layout.buckets, prediction.logits, strict=True):
        cdf = jnp.cumsum(jax.nn.softmax(logits.astype(jnp.float32)), axis=-1)
        u = uniform[:, bucket.start : bucket.stop, None] * cdf[..., -1:]
        drawn.append(jnp.sum(cdf <= u, axis=-1, dtype=jnp.int32))
    if not drawn:
        return jnp.zeros(uniform.shape, jnp.int32)
    return jnp.minimum(jnp.concatenate(drawn, axis=1), mask_codes(layout) - 1)
