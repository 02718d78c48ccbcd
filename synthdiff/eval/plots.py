"""The report's figures, each returned as a data URI of an SVG (nothing is fetched or written)."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter

# Okabe and Ito's colours, told apart under the common colour vision deficiencies; no yellow,
# which is too pale for a line on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#767676"
ATTACK_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# Every series differs in line style and marker as well as colour: the report survives grey print.
TABLES: dict[str, dict[str, Any]] = {
    "train": {"color": BLUE, "linestyle": "-", "marker": "o", "markerfacecolor": BLUE},
    "test": {"color": BLUE, "linestyle": ":", "marker": "o", "markerfacecolor": "white"},
    "synthetic": {"color": VERMILLION, "linestyle": "-", "marker": "D"},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "null": {"color": GREY, "linestyle": ":"},
    "leak": {"color": BLACK, "linestyle": "--"},
    "leak small": {"color": BLACK, "linestyle": "-."},
    "blind": {"color": GREY, "linestyle": "--"},
}
MAX_LABELS = 10
MAX_NAMED_COLUMNS = 40
MAX_NUMBERED_COLUMNS = 12
MAX_POINTS = 400
STEPS = (1, 2, 5, 10)  # of ticks, times a power of ten
STYLE: Any = {  # Matplotlib types it by every key it knows
    "svg.fonttype": "none",  # text stays text: small, sharp, and in any script the reader has
    "svg.hashsalt": "synthdiff",  # equal data give equal bytes
    "text.parse_math": False,  # a column called "$x$" is a name, not a formula
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
}


def encode(figure: Figure) -> str:
    """The figure as `data:image/svg+xml;base64,...`."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Names in scripts that Matplotlib's own font lacks are drawn by the browser.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shorten(text: object, width: int = 22) -> str:
    """The text cut to `width` characters, with an ellipsis where it was longer."""
    text = str(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def show_dates(axis: Axis, most: int) -> None:
    """Labels days since 1970-01-01, which Matplotlib counts as well, as dates; `most` ticks."""
    locator = AutoDateLocator(minticks=most - 2, maxticks=most)
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _draw_densities(axes: Axes, marginal: Mapping, dates: bool) -> None:
    edges = np.asarray(marginal["edges"], float)
    for name, style in TABLES.items():
        if marginal.get(name) is None:
            continue
        heights = np.asarray(marginal[name], float)
        line: dict[str, Any] = {key: style[key] for key in ("color", "linestyle")}
        axes.stairs(heights, edges, fill=False, linewidth=1.4, **line)
        if name == "train":
            axes.stairs(heights, edges, fill=True, color=BLUE, alpha=0.12, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if dates:
        show_dates(axes.xaxis, 4)
    else:
        whole = bool(np.all(edges % 1 == 0.5))  # one bin for each whole number
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS, integer=whole))
        axes.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def _draw_shares(axes: Axes, marginal: Mapping) -> None:
    shares = {name: np.asarray(marginal[name], float) for name in TABLES if marginal.get(name)}
    most_common = np.argsort(-next(iter(shares.values())), kind="stable")[:MAX_LABELS]
    present = np.flatnonzero(np.max(list(shares.values()), axis=0))  # "(other)" is often empty
    shown = np.intersect1d(most_common, present)  # sorted: an ordinal column keeps its order
    rows = np.arange(len(shown))
    axes.hlines(rows, 0, 1, transform=axes.get_yaxis_transform(), color="#e4e4e4", linewidth=0.8)
    for name, values in shares.items():
        style = {**TABLES[name], "linestyle": "none", "markersize": 5, "markeredgewidth": 1.1}
        axes.plot(100 * values[shown], rows, clip_on=False, zorder=3, **style)
    axes.set_yticks(rows, [shorten(marginal["labels"][row], 18) for row in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.spines["left"].set_visible(False)


@mpl.rc_context(STYLE)
def plot_marginal(marginal: Mapping, *, dates: bool = False) -> str:
    """One column, real (train, test) against synthetic.

    marginal: {"kind": "numeric", "edges": [n + 1], "train": [n], "test": [n], "synthetic": [n]}
      or {"kind": "categorical", "labels": [n], ...} with shares in 0..1, of which the
      MAX_LABELS most common (in train) are drawn.
    dates: the edges are days since 1970-01-01.
    """
    figure = Figure(figsize=(3.3, 1.9), layout="constrained")
    axes = figure.add_subplot()
    if marginal["kind"] == "numeric":
        _draw_densities(axes, marginal, dates)
    else:
        _draw_shares(axes, marginal)
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_pair_gap(columns: Sequence[str], gap: np.ndarray) -> str:
    """Heatmap of pair scores minus their floor, in points. gap: [n, n], NaN where not scored."""
    gap = np.asarray(gap, float)
    count = len(columns)
    size = float(np.clip(2.2 + 0.26 * count, 4.2, 8.0))
    figure = Figure(figsize=(size + 0.9, size), layout="constrained")
    axes = figure.add_subplot()
    limit = max(1.0, float(np.nanmax(np.abs(gap), initial=0.0)))
    colours = LinearSegmentedColormap.from_list("gap", [VERMILLION, "#ffffff", BLUE]).with_extremes(
        bad="#d9d9d9"
    )
    image = axes.imshow(gap, cmap=colours, vmin=-limit, vmax=limit)
    if count <= MAX_NAMED_COLUMNS:
        names = [shorten(column) for column in columns]
        axes.set_xticks(range(count), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
        axes.tick_params(length=0)
    else:
        axes.set_xlabel("columns, in table order")
        axes.set_xticks([])
        axes.set_yticks([])
    if count <= MAX_NUMBERED_COLUMNS:
        for (row, column), value in np.ndenumerate(gap):
            if np.isfinite(value):
                text = f"{value:+.0f}".replace("-", "−") if round(value) else "0"
                axes.text(column, row, text, ha="center", va="center", fontsize=7.5)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(
        image, ax=axes, shrink=0.6, label="points above (+) or below (−) the floor"
    )
    bar.ax.spines["outline"].set_visible(False)
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_roc(
    attacks: Mapping[str, Mapping],
    controls: Mapping[str, Mapping],
    *,
    members: int,
    nonmembers: int,
) -> str:
    """ROC curves on log-log axes with the chance line, which show the confident few.

    attacks, controls: {name: {"fpr": [...], "tpr": [...]}}. The axes end at half of one
    non-member and half of one member: nothing smaller can be observed.
    """
    figure = Figure(figsize=(8.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    least_fpr, least_tpr = 0.5 / max(nonmembers, 1), 0.5 / max(members, 1)
    grid = np.geomspace(least_fpr, 1, 50)
    axes.plot(grid, grid, color="#999999", linewidth=5, alpha=0.35, label="chance")
    styles: list[dict[str, Any]] = [
        {"color": colour, "linestyle": line} for line in "-:" for colour in ATTACK_COLOURS
    ]
    curves = [
        (name, curve, {"linewidth": 1.7, **style})
        for (name, curve), style in zip(attacks.items(), styles, strict=False)
    ]
    curves += [
        (f"control: {name}", curve, {"linewidth": 1.2, **CONTROLS.get(name, CONTROLS["null"])})
        for name, curve in controls.items()
    ]
    for name, curve, style in curves:
        fpr, tpr = (np.asarray(curve[rate], float) for rate in ("fpr", "tpr"))
        fpr, tpr = np.append(fpr, 1.0), np.append(tpr, tpr[-1])
        fpr, tpr = np.maximum(fpr, least_fpr), np.maximum(tpr, least_tpr)
        axes.plot(fpr, tpr, drawstyle="steps-post", label=shorten(name, 34), **style)
    axes.axvline(0.01, color="#555555", linewidth=0.8)
    axes.annotate("1% false positives", (0.01, 1), (3, -2), textcoords="offset points", va="top")
    axes.set(xscale="log", yscale="log", xlim=(least_fpr, 1), ylim=(least_tpr, 1.05))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        axis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("non-members wrongly called members (false positives)")
    axes.set_ylabel("members found (true positives)")
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper")
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_training(rows: Sequence[Mapping]) -> str:
    """Training loss by step, thinned to about MAX_POINTS; log axis where it spans 30x."""
    figure = Figure(figsize=(8.6, 3.1), layout="constrained")
    axes = figure.add_subplot()
    thinned = [*rows[:: max(1, -(-len(rows) // MAX_POINTS))], rows[-1]]
    points = [(row["step"], row["loss"]) for row in thinned if row.get("loss") is not None]
    steps, values = np.asarray(points, float).reshape(-1, 2).T
    axes.plot(steps, values, color=BLACK, linewidth=1.4)
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() > 30 * known.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set(xlabel="step", ylabel="loss")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    return encode(figure)
