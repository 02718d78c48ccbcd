"""The figure of synthetic rows on their way out of noise, as a data URI of an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthdiff.eval.plots import GREY, STEPS, STYLE, VERMILLION, encode, shorten, show_dates

OPEN, END = "#d9d9d9", "#555555"  # what is not drawn yet, and the outline of what it will be


@mpl.rc_context(STYLE)
def plot_trajectory(trajectory: Mapping) -> str:
    """A column of panels for each step: cells drawn, noise left, and each column's rows so far.

    trajectory: as `summarise_states` gives it.
    """
    steps, columns, noise = (trajectory[key] for key in ("steps", "columns", "noise"))
    ratios = [0.16, *([0.6] if noise else []), *(1.0 for _ in columns)]
    figure = Figure(figsize=(8.6, 0.8 + 1.35 * sum(ratios)), layout="constrained")
    progress, *panels = figure.subplots(
        len(ratios), len(steps), squeeze=False, height_ratios=ratios
    )
    for at, axes in enumerate(progress):
        axes.set_title(_name_step(at, steps), fontsize=9)
        _draw_progress(axes, trajectory["masked"][at])
    if noise:
        first, *panels = panels
        for at, axes in enumerate(first):
            _draw_noise(axes, noise, at)
        first[0].set_ylabel("noise on\nnumbers", fontweight="bold")
    for row, (name, column) in zip(panels, columns.items(), strict=True):
        draw = _draw_bins if column["kind"] == "numeric" else _draw_levels
        for at, axes in enumerate(row):
            draw(axes, column, at)
        row[0].set_ylabel(shorten(name), fontweight="bold")
    return encode(figure)


def _name_step(at: int, steps: Sequence[int]) -> str:
    names = {0: "Pure noise", len(steps) - 1: "Finished"}
    return names.get(at, f"Step {steps[at]} of {steps[-1]}")


def _draw_progress(axes: Axes, masked: float) -> None:
    """A bar of the cells that are drawn, in what all of them are."""
    axes.barh(0, 100, color=OPEN)
    axes.barh(0, 100 * (1 - masked), color=VERMILLION)
    axes.set(xlim=(0, 100), xticks=[], yticks=[])
    axes.set_xlabel(f"{100 * (1 - masked):.0f}% filled in", fontsize=8, labelpad=2)
    axes.spines[:].set_visible(False)


def _draw_noise(axes: Axes, noise: Mapping, at: int) -> None:
    """The shape of what is left of the noise; heights differ too much for one scale."""
    axes.stairs(noise["shares"][at], noise["edges"], fill=True, color=GREY)
    axes.set(yticks=[], xlim=(-3, 3), ylim=(0, 1.1 * max(noise["shares"][at]) or 1))
    axes.set_xticks([-2, 0, 2], ["−2 SD", "0", "+2 SD"])
    axes.spines["left"].set_visible(False)


def _draw_bins(axes: Axes, column: Mapping, at: int) -> None:
    edges, last = np.asarray(column["edges"], float), np.asarray(column["shares"][-1], float)
    axes.stairs(100 * last, edges, color=END, linewidth=0.7, linestyle=":")
    axes.stairs(100 * np.asarray(column["shares"][at], float), edges, fill=True, color=VERMILLION)
    axes.set_ylim(0, 110 * max(map(max, column["shares"])))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(2, steps=STEPS))
    if column["dates"]:
        show_dates(axes.xaxis, 3)


def _draw_levels(axes: Axes, column: Mapping, at: int) -> None:
    rows, last = np.arange(len(column["labels"])), np.asarray(column["shares"][-1], float)
    axes.barh(rows, 100 * last, 0.7, fill=False, edgecolor=END, linewidth=0.7, linestyle=":")
    axes.barh(rows, 100 * np.asarray(column["shares"][at], float), 0.7, color=VERMILLION)
    axes.set_yticks(rows, [shorten(label, 12) for label in column["labels"]] if at == 0 else [])
    axes.tick_params(axis="y", length=0)
    if at:
        axes.tick_params(axis="y", labelleft=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 110 * max(map(max, column["shares"])))
    axes.xaxis.set_major_locator(MaxNLocator(2, steps=STEPS))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.spines["left"].set_visible(False)
