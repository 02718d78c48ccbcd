"""One plain perceptron and its Adam step in JAX and in PyTorch, from equal weights."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import optax

from synthdiff._validate import input_error

RATE = 1e-3


def import_torch() -> ModuleType:
    """PyTorch, or an error that says how to get it; nothing else in the project needs it."""
    try:
        import torch
    except ImportError:
        raise input_error("PyTorch", "is not installed", "pip install torch") from None
    return torch


def draw_weights(width: int, hidden: int, depth: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel [in, out] and bias [out] of the first, 2 * depth inner and the last layer."""
    rng = np.random.default_rng(0)
    sizes = [(width, hidden), *[(hidden, hidden)] * (2 * depth), (hidden, width)]
    return [
        (rng.normal(0, a**-0.5, (a, b)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in sizes
    ]


def draw_batches(steps: int, batch: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(steps, batch, width)).astype(np.float32)


def predict(weights: list, x, gelu: Callable):
    """The perceptron, written once for arrays of either framework."""
    (first, shift), *inner, (last, offset) = weights
    h = x @ first + shift
    for (a, b), (c, d) in zip(inner[::2], inner[1::2], strict=True):
        h = h + gelu(h @ a + b) @ c + d
    return h @ last + offset


def make_jax_steps(weights: list, batches: np.ndarray, steps_per_call: int) -> Callable:
    """`advance()` through all batches, `steps_per_call` per dispatch; returns the last loss."""
    tx = optax.adam(RATE)
    state = (jax.tree.map(jnp.asarray, weights), tx.init(weights))
    calls = jnp.asarray(batches.reshape(-1, steps_per_call, *batches.shape[1:]))

    def step(state, x):
        weights, moments = state
        loss, grads = jax.value_and_grad(
            lambda w: jnp.mean((predict(w, x, jax.nn.gelu) - x) ** 2)  # the tanh form
        )(weights)
        updates, moments = tx.update(grads, moments)
        return (optax.apply_updates(weights, updates), moments), loss

    run = jax.jit(lambda state, xs: jax.lax.scan(step, state, xs))

    def advance() -> jax.Array:
        nonlocal state
        for xs in calls:
            state, losses = run(state, xs)
        return losses[-1]

    return advance


def choose_device(torch: ModuleType) -> str:
    """Where PyTorch works: beside JAX on its GPU, with products of the precision that JAX takes."""
    if jax.default_backend() != "gpu":
        return "cpu"
    torch.set_float32_matmul_precision("high")  # TensorFloat-32
    return "cuda"


def make_torch_steps(torch: ModuleType, weights: list, batches: np.ndarray) -> Callable:
    """The same in PyTorch, eagerly, on the same kind of device."""
    device = choose_device(torch)
    weights = [[torch.tensor(x, device=device, requires_grad=True) for x in w] for w in weights]
    optimizer = torch.optim.Adam([x for pair in weights for x in pair], RATE)
    batches = torch.tensor(batches, device=device)

    def gelu(h):
        return torch.nn.functional.gelu(h, approximate="tanh")

    def advance() -> float:
        for x in batches:
            optimizer.zero_grad()
            loss = ((predict(weights, x, gelu) - x) ** 2).mean()
            loss.backward()
            optimizer.step()
        return loss.item()  # waits for the device

    return advance
