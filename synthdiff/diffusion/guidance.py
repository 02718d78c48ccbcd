"""Classifier-free guidance: a denoise function that leans on what it is given."""

from __future__ import annotations

import jax

from synthdiff.diffusion.denoiser import Prediction
from synthdiff.diffusion.samplers import DenoiseFn
from synthdiff.layout import Records


def guide(conditional_fn: DenoiseFn, free_fn: DenoiseFn, weight: float) -> DenoiseFn:
    """Classifier-free guidance: free + (1 + weight) * (conditional - free), on x0 and on logits.

    Ho & Salimans 2022, arXiv 2207.12598 eq. 6. Weight 0 is plain conditioning. Each call costs two
    evaluations, and averages guesses, as one guess of each would not match. The condition is a set
    of known columns; the free branch hides them, which the network learns from masking itself, so
    no second training is needed.
    """

    def mix(conditional: jax.Array, free: jax.Array) -> jax.Array:
        return conditional + weight * (conditional - free)

    def denoise_fn(z: Records, t: jax.Array, pick: jax.Array | None) -> Prediction:
        conditional, free = conditional_fn(z, t, None), free_fn(z, t, None)
        logits = tuple(
            mix(jax.nn.log_softmax(c), jax.nn.log_softmax(f))
            for c, f in zip(conditional.logits, free.logits, strict=True)
        )
        return Prediction(mix(conditional.x0, free.x0), logits)

    return denoise_fn
