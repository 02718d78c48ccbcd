"""The figures of the tables in papers, each from the table's record and its cells."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import fill

from _figures import REAL, in_style, save, use_logarithm
from _panels import PANELS, Panel, plot_panels
from _papers import Cell, Grid
from _tables import take_means
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synthdiff.eval.plots import BLUE

PER_ROW = 3  # panels of scores


def plot_record(plot: Callable[[dict, Path], None]) -> Callable[[dict, Grid, Path], None]:
    """The figure that a sweep makes of its record."""
    return lambda record, grid, path: plot(record, path)


def plot_panels_of(benchmark: str) -> Callable[[dict, Grid, Path], None]:
    """The figure of a speed benchmark."""

    def plot(record: dict, grid: Grid, path: Path) -> None:
        plot_panels(path, record["tables"], PANELS[benchmark])

    return plot


def plot_search(record: dict, grid: Grid, path: Path) -> None:
    """Seconds against rows, a line per index."""
    plot_panels(path, {"search": record["rows"]}, PANELS["search"])


def plot_few_steps(record: dict, grid: Grid, path: Path, by: str = "model") -> None:
    """Means over runs against NFE and against speed, a line per model or sampler."""
    names = ("nfe", "detection_auc"), ("nfe", "fidelity_loss"), ("records_per_s", "detection_auc")
    rows = take_means(record["tables"]["scores"])
    plot_panels(path, {"scores": rows}, [Panel("scores", x, y, by) for x, y in names])


def plot_intervals(
    lines: Mapping[str, float], logarithmic: bool = False
) -> Callable[[dict, Grid, Path], None]:
    """Every value with its interval, a panel for each column that has intervals.

    lines: where a column's panel has a line, as at chance.
    """

    @in_style
    def plot(record: dict, grid: Grid, path: Path) -> None:
        columns = [
            name
            for name in next(iter(grid.values()))
            if any(row[name].lower is not None for row in grid.values())
        ]
        size = (3 * len(columns) + 2.5, 1 + 0.24 * len(grid))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
        for axes, column in zip(panels, columns, strict=True):
            cells = {row: cells[column] for row, cells in grid.items()}
            draw_dots(axes, cells)
            if logarithmic:
                use_logarithm(axes.xaxis, [cell.value for cell in cells.values()])
            if column in lines:
                axes.axvline(lines[column], **REAL)
            axes.set_xlabel(column)
        save(figure, path)

    return plot


def plot_scores(
    real: str = "", lines: Mapping[str, str | float] | None = None, columns: str = ""
) -> Callable[[dict, Grid, Path], None]:
    """A panel for each score that has a spread, with a dot for each column of the table.

    real: the column that is a dashed line instead, if there is one. lines: what the line of a score
    is where it is no column: another score, or a number. columns: what the columns differ in.
    """

    @in_style
    def plot(record: dict, grid: Grid, path: Path) -> None:
        panels = {score: pick_dots(cells, real) for score, cells in grid.items()}
        panels = {score: cells for score, cells in panels.items() if cells}
        height, width = -(-len(panels) // PER_ROW), min(len(panels), PER_ROW)
        size = (3.1 * width + 1, height * (0.9 + 0.22 * max(map(len, panels.values()))))
        figure = Figure(figsize=size, layout="constrained")
        grid_of_axes = figure.subplots(height, width, squeeze=False, sharey=True).flat
        for axes in grid_of_axes[len(panels) :]:
            axes.set_axis_off()
        for axes, (score, cells) in zip(grid_of_axes, panels.items(), strict=False):
            draw_dots(axes, cells)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_title(fill(score.replace("`", ""), 38), fontsize=9)
            if (at := find_line(grid, score, real, lines or {})) is not None:
                axes.axvline(at, label=real or "real rows or chance", **REAL)
        figure.supylabel(columns, fontsize=9)
        handles = next((h for a in figure.axes if (h := a.get_legend_handles_labels())[0]), None)
        if handles:
            figure.legend(*handles, loc="outside upper left")
        save(figure, path)

    return plot


def pick_dots(cells: Mapping[str, Cell], real: str) -> dict[str, Cell]:
    """The cells of a score that are dots; none where it is not compared or has no spread."""
    dots = {name: cell for name, cell in cells.items() if name != real and cell.lower is None}
    return dots if any(c.std and c.tolerance is not None for c in dots.values()) else {}


def find_line(grid: Grid, score: str, real: str, lines: Mapping[str, str | float]) -> float | None:
    at = lines.get(score, grid[score][real].value if real in grid[score] else None)
    if at in grid:
        at = next(iter(grid[at].values())).value
    return float(at) if at not in (None, "") else None


def draw_dots(axes: Axes, cells: Mapping[str, Cell]) -> None:
    """A dot for each cell, the first on top, with its interval or its spread."""
    for row, cell in enumerate(cells.values()):
        if isinstance(cell.value, str | None):
            continue
        reach = [[cell.std or 0.0], [cell.std or 0.0]]
        if cell.lower is not None:
            reach = [[cell.value - cell.lower], [cell.upper - cell.value]]
        axes.errorbar([cell.value], [row], xerr=reach, fmt="o", color=BLUE, capsize=2)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
