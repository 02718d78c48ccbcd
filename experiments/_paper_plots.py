"""The figures of the tables in papers, each from the table's record and its cells."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
from _panels import PANELS, Panel, plot_panels
from _papers import Grid
from _tables import take_means


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


def plot_few_steps(record: dict, grid: Grid, path: Path) -> None:
    """Means over runs against NFE and against speed, a line per number of guesses."""
    names = ("nfe", "detection_auc"), ("nfe", "fidelity_loss"), ("records_per_s", "detection_auc")
    rows = take_means(record["tables"]["scores"])
    plot_panels(path, {"scores": rows}, [Panel("scores", x, y, "components") for x, y in names])


def plot_intervals(record: dict, grid: Grid, path: Path) -> None:
    """Every value with its interval, a panel for each column that has intervals."""
    columns = [k for k, cell in next(iter(grid.values())).items() if cell.lower is not None]
    size = (4 * len(columns) + 2, 1 + 0.3 * len(grid))
    figure, axes = plt.subplots(1, len(columns), figsize=size, squeeze=False)
    for axis, column in zip(axes[0], columns, strict=True):
        cells = [row[column] for row in reversed(grid.values())]
        ends = [[c.value - c.lower for c in cells], [c.upper - c.value for c in cells]]
        axis.errorbar([c.value for c in cells], [*reversed(grid)], xerr=ends, fmt="o", ms=4)
        axis.set_title(column)
        axis.tick_params("y", labelleft=axis is axes[0, 0])
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
