"""Denoisers of published table synthesizers, rebuilt from their published sizes and not trained.

Speed does not depend on the weights. What is left out is in the peers' favour: every draw and every
update of their samplers, TabSyn's decoder, TabDDPM's embedding of the target (here one category
more) and TabDiff's scaling of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

TOKEN = 4  # numbers per column in TabSyn's latent space and in TabDiff's tokens
TABSYN_SIZES = (2048, 2048, 1024)
BENCHMARK_SIZES = (1024, 2048, 2048, 1024)  # TabDDPM's in TabSyn's comparison
TUNED_SIZES = (256, 1024, 1024, 1024, 1024, 256)  # TabDDPM's own, tuned on Adult


class Perceptron(nn.Module):
    """A noisy vector [rows, width] and its time [rows] in, the clean vector out."""

    def __init__(
        self, width: int, embedding: int, sizes: Sequence[int], activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.width, self.embedding = width, embedding
        self.enter = nn.Linear(width, embedding)
        square = [nn.Linear(embedding, embedding) for _ in range(2)]
        self.embed = nn.Sequential(square[0], nn.SiLU(), square[1])
        pairs = pairwise((embedding, *sizes))
        hidden = [part for pair in pairs for part in (nn.Linear(*pair), activation())]
        self.body = nn.Sequential(*hidden, nn.Linear(sizes[-1], width))

    def draw_inputs(self, rows: int) -> tuple[Tensor, ...]:
        return torch.randn(rows, self.width), torch.rand(rows)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        steps = torch.linspace(0, 1, self.embedding // 2, device=time.device)
        rates = torch.exp(-math.log(1e4) * steps)
        waves = time[:, None] * rates  # for every record, as the public codes do
        return self.body(self.enter(x) + self.embed(torch.cat([waves.cos(), waves.sin()], 1)))


def make_transformer() -> nn.Module:
    """Two layers over tokens [rows, columns, TOKEN]: one head, 32 * TOKEN hidden units."""
    layer = nn.TransformerEncoderLayer(
        TOKEN, 1, 32 * TOKEN, dropout=0.0, batch_first=True, norm_first=True
    )
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(TOKEN), enable_nested_tensor=False)
    return nn.Sequential(stack, nn.ReLU(), nn.Linear(TOKEN, TOKEN))


class TabDiff(nn.Module):
    """Tokens of columns, transformer, perceptron over all tokens, transformer, one head a column.

    A category has one code more, "masked".
    """

    def __init__(self, numbers: int, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.widths = [k + 1 for k in cardinalities]
        self.scale = nn.Parameter(torch.randn(2, numbers, TOKEN))  # into tokens and out of them
        self.shift = nn.Parameter(torch.randn(numbers + len(self.widths), TOKEN))
        self.tables = nn.ModuleList(nn.Embedding(k, TOKEN) for k in self.widths)
        self.encoder, self.decoder = make_transformer(), make_transformer()
        self.middle = Perceptron(self.shift.numel(), 1024, TABSYN_SIZES, nn.SiLU)
        self.heads = nn.ModuleList(nn.Linear(TOKEN, k) for k in self.widths)

    def draw_inputs(self, rows: int) -> tuple[Tensor, ...]:
        codes = torch.rand(rows, len(self.widths)) * torch.tensor(self.widths)
        return torch.randn(rows, self.scale.shape[1]), codes.long(), torch.rand(rows)

    def forward(self, x: Tensor, codes: Tensor, time: Tensor) -> tuple[Tensor, list[Tensor]]:
        pairs = zip(self.tables, codes.T, strict=True)  # of a table of numbers alone, none
        found = [table(code)[:, None] for table, code in pairs]
        tokens = torch.cat([x[..., None] * self.scale[0], *found], 1) + self.shift
        middle = self.middle(self.encoder(tokens).flatten(1), time)
        out = self.decoder(middle.unflatten(1, self.shift.shape))
        split = x.shape[1]
        logits = [head(h) for head, h in zip(self.heads, out[:, split:].unbind(1), strict=True)]
        return (out[:, :split] * self.scale[1]).sum(-1), logits


class Peer(NamedTuple):
    """make: the network of a table with that many numbers and those categories.

    evaluations: of the network per record, as published. shape_error, trend_error: on Adult in %,
    lower is better, as published for the trained peer; None: not published for these settings.
    """

    name: str
    make: Callable[[int, Sequence[int]], nn.Module]
    evaluations: int
    shape_error: float | None
    trend_error: float | None


def make_tabddpm(embedding: int, sizes: Sequence[int]) -> Callable[[int, Sequence[int]], nn.Module]:
    """Over numbers and one-hot categories (Kotelnikov et al. 2022, arXiv 2209.15421)."""
    return lambda numbers, cardinalities: Perceptron(
        numbers + sum(cardinalities), embedding, sizes, nn.ReLU
    )


def make_tabsyn(numbers: int, cardinalities: Sequence[int]) -> nn.Module:
    """Over TOKEN latent numbers per column (Zhang et al. 2023, arXiv 2310.09656)."""
    return Perceptron(TOKEN * (numbers + len(cardinalities)), 1024, TABSYN_SIZES, nn.SiLU)


PEERS = (
    Peer("TabDDPM, tuned, T = 100", make_tabddpm(128, TUNED_SIZES), 100, None, None),
    Peer("TabDDPM, T = 1000", make_tabddpm(1024, BENCHMARK_SIZES), 1000, 1.75, 3.01),
    Peer("TabSyn", make_tabsyn, 99, 0.81, 1.93),  # 50 steps of second order
    Peer("TabDiff", TabDiff, 99, 0.63, 1.49),  # arXiv 2410.20626, steps as above
)
