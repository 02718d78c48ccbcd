"""One config for both denoisers, and the pair of functions the rest of the code sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from synthdiff._validate import InputError, input_error, one_of, positive
from synthdiff.diffusion.schedules import Levels
from synthdiff.layout import Layout, Records
from synthdiff.models.mlp import Mlp
from synthdiff.models.unet import UNet

MAX_SCALE = 8.0  # of embeddings: of a category that fewer than one record in 64 has
OUTPUTS = ("bias", "scorer", "head")  # names that such params begin with
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclass(frozen=True)
class ModelConfig:
    """Size of the denoiser.

    name: "unet" or "mlp". width: channels of a column token. max_width: of the U-Net's token that
    holds the whole record, at most. fan: columns that a level of the U-Net joins. depth:
    perceptrons per level in between, or layers of the MLP. bottom_depth: perceptrons of the U-Net's
    token of the whole record. hidden: units of a layer of the MLP. components: guesses of the U-Net
    at once, of which a step of the sampler draws one; for few steps, at dearer training. dtype:
    "float32" or "bfloat16", of the network's arithmetic.
    """

    name: str = "unet"
    width: int = 32
    max_width: int = 512
    fan: int = 64
    depth: int = 1
    bottom_depth: int = 2
    hidden: int = 512
    components: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        one_of(("unet", "mlp"), model=self.name)
        one_of(DTYPES, dtype=self.dtype)
        positive(
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            bottom_depth=self.bottom_depth,
            components=self.components,
        )
        if self.components > 1 and self.name != "unet":
            fix = "leave it at 1, or use --model.name=unet"
            raise input_error("components", f"is {self.components} for {self.name!r}", fix)
        if self.fan < 2:
            raise InputError(f"Expected fan >= 2, got {self.fan}.")


def make_network(
    config: ModelConfig, layout: Layout, *, learnable_schedule: bool = False
) -> tuple[Callable, Callable]:
    """Builds `init_fn(key) -> params` and `apply_fn(network_params, visible, log_snr, known)`.

    With `embed` the latter gives what it makes of each whole record, float32 [batch, d].
    params["network"] is the Flax tree; params["schedule"], where the schedule is learnable, holds
    the log exponents of `part_log_snr`.
    """
    dtype = DTYPES[config.dtype]
    module: nn.Module
    if config.name == "unet":
        module = UNet(
            layout,
            config.width,
            config.max_width,
            config.fan,
            config.depth,
            config.bottom_depth,
            dtype,
            config.components,
        )
    else:
        module = Mlp(layout, config.width, config.hidden, config.depth, dtype)

    def init_fn(key: jax.Array) -> dict:
        blank = Records(
            jnp.zeros((1, layout.num_continuous)), jnp.zeros((1, layout.num_categorical), jnp.int32)
        )
        known = Records(*(jnp.zeros(part.shape, bool) for part in blank))
        params = {"network": module.init(key, blank, jnp.zeros(1), known)["params"]}
        if learnable_schedule:
            parts = Levels(jnp.zeros(layout.num_continuous), jnp.zeros(layout.num_categorical))
            params["schedule"] = parts._asdict()
        return params

    def apply_fn(
        params: dict,
        visible: Records,
        log_snr: jax.Array,
        known: Records,
        pick: jax.Array | None = None,
        *,
        embed: bool = False,
    ) -> Any:
        picked = () if pick is None or config.components == 1 else (pick,)
        return module.apply({"params": params}, visible, log_snr, known, *picked, embed=embed)

    return init_fn, apply_fn


def start_at_shares(params: dict, layout: Layout, shares: Sequence[np.ndarray]) -> dict:
    """The params with each category's bias at the logarithm of its share, so that an untrained
    network already draws every categorical part from its marginal, and with `_standardise`d tables.

    shares: per categorical part, positive numbers [cardinality]; only their ratios count.
    """
    coder = dict(params["network"]["coder"])
    for bucket in layout.buckets:
        weights = np.zeros((bucket.stop - bucket.start, bucket.width + 1), np.float32)
        bias = np.zeros((bucket.stop - bucket.start, bucket.width), np.float32)
        for row, weight, part in zip(
            bias, weights, shares[bucket.start : bucket.stop], strict=True
        ):
            row[: len(part)] = np.log(part) - np.mean(np.log(part))
            weight[: len(part)] = part / np.sum(part)
        table = coder[f"table{bucket.width}"]
        coder[f"table{bucket.width}"] = _standardise(table, jnp.asarray(weights))
        coder[f"bias{bucket.width}"] = jnp.asarray(bias)
    return params | {"network": params["network"] | {"coder": coder}}


def _standardise(table: jax.Array, weights: jax.Array) -> jax.Array:
    """Embeddings [parts, width + 1, d] of average zero and mean square one over the records, the
    last of them, of a masked part, at zero.

    A code that few records have is then far from the average where it occurs and near it where it
    does not: the few codes of a record would else drown in which of thousands are masked.
    """
    weights = weights[..., None]
    table = table - jnp.sum(weights * table, axis=1, keepdims=True)
    square = jnp.mean(jnp.sum(weights * table**2, axis=1, keepdims=True), axis=2, keepdims=True)
    table = table * jnp.minimum(jax.lax.rsqrt(square + 1e-12), MAX_SCALE)
    return table.at[:, -1].set(0.0)


def split_outputs(params: dict) -> tuple[dict, Callable[[dict], dict]]:
    """Biases and tables of outputs, and a function that puts such back among the other params.

    They are a few in a hundred of the params and can express other marginals: few enough for noisy
    gradients (biases alone: Bu et al. 2022, arXiv 2210.00036).
    """
    flat = flatten_dict(params)
    chosen = {path: leaf for path, leaf in flat.items() if path[-1].startswith(OUTPUTS)}

    def merge(outputs: dict) -> dict:
        return unflatten_dict(flat | flatten_dict(outputs))

    return unflatten_dict(chosen), merge


def count_params(params: dict) -> int:
    """Number of trainable values."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
