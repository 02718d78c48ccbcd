"""Figures of groups of patients, of codes and of visits, each returned as a data URI of an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthdiff.eval.plots import BLUE, STYLE, TABLES, VERMILLION, encode, shorten

REAL = {**TABLES["train"], "linestyle": "none"}
FRESH = {**TABLES["test"], "linestyle": "none"}
SYNTHETIC = {**TABLES["synthetic"], "linestyle": "none"}


def _draw_rows(axes: Axes, labels: Sequence[str], series: Sequence[tuple], scale: float) -> None:
    """Points with intervals, one row per label; series: (values, style), side by side."""
    rows = np.arange(len(labels))
    axes.hlines(rows, 0, 1, transform=axes.get_yaxis_transform(), color="#e4e4e4", linewidth=0.8)
    for (values, style), shift in zip(series, (-0.14, 0.14), strict=True):
        for row, value in enumerate(values):
            if value is None:
                continue
            ends = [value["lower"], value["upper"]] if isinstance(value, Mapping) else []
            middle = value["value"] if isinstance(value, Mapping) else value
            if ends:
                axes.hlines(row + shift, *(scale * np.array(ends)), color=style["color"])
            axes.plot(scale * middle, row + shift, clip_on=False, zorder=3, markersize=5, **style)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _pick(results: Sequence[Mapping], key: str) -> list:
    return [result.get(key) for result in results]


@mpl.rc_context(STYLE)
def plot_groups(levels: Mapping[str, Mapping], score: str | None, label: str) -> str:
    """Share of rows, agreement of columns and a model score of each level, real and synthetic.

    levels: as `evaluate_subgroups` gives them, without the skipped ones. score: its name in
      "scores", drawn with its intervals; None leaves that panel out. label: of its axis.
    """
    names = [shorten(name, 18) for name in levels]
    panels = 3 if score else 2
    figure = Figure(figsize=(8.6, 1.05 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True)
    shares = [level["share"] for level in levels.values()]
    shapes = [level["shape"] for level in levels.values()]
    pairs = [
        [(_pick(shares, "train"), REAL), (_pick(shares, "synthetic"), SYNTHETIC)],
        [(_pick(shapes, "floor"), FRESH), (_pick(shapes, "synthetic"), SYNTHETIC)],
    ]
    for axis, pair in zip(axes, pairs, strict=False):
        _draw_rows(axis, names, pair, 100)
    axes[0].set_xlim(left=0)
    for axis, text in zip(axes, ("share of rows", "agreement of columns"), strict=False):
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axis.set_xlabel(text)
    if score:
        scores = [level["scores"].get(score, {}) for level in levels.values()]
        pair = [(_pick(scores, "trtr"), REAL), (_pick(scores, "tstr"), SYNTHETIC)]
        _draw_rows(axes[2], names, pair, 1)
        axes[2].set_xlabel(label)
    axes[0].set_yticks(np.arange(len(names)), names)
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_persistence(columns: Mapping[str, Mapping[str, float]]) -> str:
    """How much a visit resembles the one before, one row per column, real against synthetic.

    columns: {name: {"train", "synthetic"}}, correlations or shares.
    """
    figure = Figure(figsize=(6.2, 0.9 + 0.26 * len(columns)), layout="constrained")
    axes = figure.add_subplot()
    values = list(columns.values())
    pair = [(_pick(values, "train"), REAL), (_pick(values, "synthetic"), SYNTHETIC)]
    _draw_rows(axes, [shorten(name) for name in columns], pair, 1)
    axes.set_yticks(np.arange(len(columns)), [shorten(name) for name in columns])
    axes.set(xlabel="resemblance to the visit before (0 none, 1 the same)")
    axes.set_xlim(right=1.0)
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_prevalence(points: Mapping[str, Sequence[float]]) -> str:
    """Share of rows with each code, training against synthetic and against test, log axes.

    points: {"train": [n], "test": [n], "synthetic": [n]} in 0..1; zeros are drawn at the edge.
    """
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    values = {part: 100 * np.asarray(share, float) for part, share in points.items()}
    least = 0.5 * min(share[share > 0].min(initial=100.0) for share in values.values())
    most = 2 * max(share.max() for share in values.values())
    line = np.array([least, most])
    axes.plot(line, line, color="#999999", linewidth=4, alpha=0.35, zorder=1)
    for part, style in (("test", FRESH), ("synthetic", SYNTHETIC)):
        shape = {**style, "markersize": 3.5, "markeredgewidth": 0.6, "alpha": 0.7}
        axes.plot(values["train"], np.maximum(values[part], least), clip_on=False, **shape)
    axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}%")
        axis.set_minor_formatter(lambda *_: "")
    axes.set(xlabel="training rows with the code", ylabel="synthetic or test rows with it")
    axes.set_aspect("equal")
    return encode(figure)


@mpl.rc_context(STYLE)
def plot_code_models(points: Mapping[str, Sequence[float]]) -> str:
    """AUC of models of each code: trained on real (across) and on synthetic rows (up)."""
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    real, synthetic = (np.asarray(points[key], float) for key in ("trtr", "tstr"))
    low = min(0.5, real.min(), synthetic.min()) - 0.02
    high = min(1.0, max(real.max(), synthetic.max()) + 0.05)
    axes.plot([low, high], [low, high], color="#999999", linewidth=4, alpha=0.35, zorder=1)
    axes.axhline(0.5, color=BLUE, linewidth=0.8, linestyle=":")
    axes.plot(real, synthetic, "D", color=VERMILLION, markersize=4, alpha=0.8, clip_on=False)
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="AUC, trained on real rows", ylabel="AUC, trained on synthetic rows")
    axes.set_aspect("equal")
    return encode(figure)
