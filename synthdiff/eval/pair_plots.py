"""Figures of pairs of columns: joint distributions side by side, as a data URI of an SVG."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from synthdiff.eval.plots import STEPS, STYLE, encode, shorten, show_dates

PANELS = {"train": "real, training", "synthetic": "synthetic", "test": "real, test (floor)"}


def _label_axis(axes: Axes, which: str, about: Mapping, dates: bool) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_label_text(shorten(about["name"], 28))
    if "labels" in about:
        names = [shorten(label, 14) for label in about["labels"]]
        axis.set_ticks(np.arange(len(names)) + 0.5, names)
        axis.set_tick_params(length=0)
        if which == "x" and max(map(len, names)) > 3:
            axis.set_tick_params(rotation=60)
    elif dates:
        show_dates(axis, 4)
    else:
        axis.set_major_locator(MaxNLocator(4, steps=STEPS))


@mpl.rc_context(STYLE)
def plot_pair(pair: Mapping, *, dates: tuple[str, ...] = ()) -> str:
    """One pair of columns in training, synthetic and test rows, on one scale of colours.

    pair: as `summarise_pairs` gives it. dates: names of columns in days since 1970-01-01.
    """
    shares = {part: 100 * np.array(pair[part], float) for part in PANELS}
    known = np.concatenate([share[share > 0] for share in shares.values()])
    low, high = (known.min(), known.max()) if len(known) else (1.0, 100.0)
    norm = LogNorm(low, max(high, 1.01 * low))
    edges = [
        np.arange(len(about["labels"]) + 1) if "labels" in about else np.array(about["edges"])
        for about in (pair["first"], pair["second"])
    ]
    figure = Figure(figsize=(8.6, 2.9), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for axes, (part, title) in zip(panels, PANELS.items(), strict=True):
        cells = np.ma.masked_equal(shares[part], 0)
        mesh = axes.pcolormesh(edges[1], edges[0], cells, norm=norm, cmap="cividis_r")
        axes.set_title(title, fontsize=9)
        _label_axis(axes, "x", pair["second"], pair["second"]["name"] in dates)
    _label_axis(panels[0], "y", pair["first"], pair["first"]["name"] in dates)
    bar = figure.colorbar(mesh, ax=panels, shrink=0.85, label="share of rows")
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    bar.ax.yaxis.set_minor_formatter(lambda *_: "")
    bar.ax.spines["outline"].set_visible(False)
    return encode(figure)
