"""The figure of a privacy-detail frontier, also as a data URI of an SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthdiff.eval.frontier import EXPOSURE, QUALITY, group_points, split_point
from synthdiff.eval.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, STYLE, TABLES, encode

KNOB_STYLES = tuple(zip((BLUE, GREEN, PURPLE, SKY, ORANGE), "osv^P", strict=True))


@mpl.rc_context(STYLE)
def plot_frontier(points: Mapping[str, Mapping], own: Mapping[str, Mapping]) -> str:
    """`draw_frontier` for the report."""
    return encode(draw_frontier(points, own, EXPOSURE))


@mpl.rc_context(STYLE)
def draw_frontier(
    points: Mapping[str, Mapping], own: Mapping[str, Mapping], exposure: Mapping[str, str]
) -> Figure:
    """Quality against exposure, a line per knob; bars are two standard errors.

    points: as of `summarise_frontier`. own: {score: {"mean", "error" or None}} of the run of the
    report, whose scores may be missing. exposure: {score: label} of the columns of panels.
    """
    figure = Figure(figsize=(4.3 * len(exposure), 6.0), layout="constrained")
    grid = figure.subplots(len(QUALITY), len(exposure), sharex="col", sharey="row")
    for row, (y, y_label) in zip(grid, QUALITY.items(), strict=True):
        for axes, x in zip(row, exposure, strict=True):
            _draw_knobs(axes, points, x, y)
            if x in own and y in own:
                style = {"markersize": 9, "zorder": 5, **TABLES["synthetic"], "linestyle": "none"}
                _draw_points(axes, [own], x, y, label="this run", **style)
            if x in EXPOSURE:
                axes.axvline(0.5, color="#999999", linewidth=0.8)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.grid(color="#e4e4e4", linewidth=0.7)
            axes.set_axisbelow(True)
        row[0].set_ylabel(y_label)
    for axes, x_label in zip(grid[-1], exposure.values(), strict=True):
        axes.set_xlabel(x_label)
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _draw_knobs(axes: Axes, points: Mapping[str, Mapping], x: str, y: str) -> None:
    knobs = group_points(list(points))
    styles = iter(KNOB_STYLES * len(knobs))
    for knob, names in knobs.items():
        is_default = names == ["default"]
        colour, marker = (BLACK, "o") if is_default else next(styles)
        _draw_points(
            axes, [points[name] for name in names], x, y,
            label="settings of the study" if is_default else knob,
            color=colour, marker=marker, markersize=5, linewidth=1,
        )  # fmt: skip
        for name in names:
            at = points[name][x]["mean"], points[name][y]["mean"]
            text = split_point(name)[1]
            axes.annotate(text, at, (5, 4), textcoords="offset points", fontsize=8)


def _draw_points(axes: Axes, scores: list, x: str, y: str, **style: Any) -> None:
    at_x, at_y = ([s[key]["mean"] for s in scores] for key in (x, y))
    bars_x, bars_y = ([2 * (s[key]["error"] or 0.0) for s in scores] for key in (x, y))
    axes.errorbar(at_x, at_y, bars_y, bars_x, elinewidth=0.8, **style)
