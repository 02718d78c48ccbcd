"""How the figures of experiments look: style, ticks of logarithmic axes, files."""

from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from synthdiff.eval.plots import BLUE, GREEN, ORANGE, PURPLE, SKY, STYLE, VERMILLION

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
SERIES = cycler(color=COLOURS) + cycler(marker=list("oDsv^P"))
in_style = mpl.rc_context(STYLE | {"axes.prop_cycle": SERIES, "lines.markersize": 5})
REAL = {"color": "#555555", "linestyle": "--", "linewidth": 1.2}  # floors, chance, real tables


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=150)


def format_tick(value: float, _: object = None) -> str:
    """1500000 as 1.5M, 20000 as 20k."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def use_logarithm(axis: Axis, values: list[float]) -> None:
    """A logarithmic axis with a few ticks, whether the values span a tenth or six decades."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    ratio = max(values) / min(values)
    subs = (1.0,) if ratio > 300 else (1.0, 2.0, 5.0)
    axis.set_major_locator(MaxNLocator(4) if ratio < 8 else LogLocator(subs=subs))
    axis.set_major_formatter(format_tick)
    axis.set_minor_formatter(NullFormatter())
