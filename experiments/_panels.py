"""The figures of the speed benchmarks: columns of a record's tables against each other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from _figures import in_style, save, use_logarithm
from matplotlib.figure import Figure

UNITS = {"_per_s": " per second", "_s": ", seconds", "_gb": ", GB", "_mb": ", MB", "_auc": " AUC"}


class Panel(NamedTuple):
    """One panel of the plot: columns x and y of a table, a line for each value of column `by`."""

    table: str
    x: str
    y: str
    by: str


PANELS = {
    "audit_speed": [Panel("audit", "patients", name, "noises") for name in ("table_s", "losses_s")],
    "cost_model": [
        Panel("predicted", "chips", "efficiency", "scaling"),
        Panel("predicted", "chips", "step_s", "scaling"),
    ],
    "few_steps": [
        Panel("scores", "nfe", "detection_auc", "sampler"),
        Panel("scores", "nfe", "fidelity_loss", "sampler"),
        Panel("scores", "records_per_s", "detection_auc", "sampler"),
    ],
    "sampling": [
        Panel("blocks", "block", "records_per_s", "sampler"),
        Panel("samplers", "nfe", "records_per_s", "sampler"),
        Panel("columns", "columns", "p50_s", "sampler"),
        Panel("rows", "rows", "records_per_s", "sampler"),
    ],
    "scaling": [
        Panel(table, "devices", "efficiency", "scaling") for table in ("devices", "sampling")
    ],
    "search": [
        Panel("search", "rows", "build_s", "index"),
        Panel("search", "rows", "per_1000_queries_s", "index"),
    ],
    "shards": [Panel("shards", "rows", name, "shard_rows") for name in ("peak_mb", "processor_s")],
    "startup": [Panel("processes", "run", "seconds", "process")],
    "torch": [Panel("steps", "batch", "steps_per_s", "arm")],
    "training": [
        Panel("dispatch", "steps_per_call", "steps_per_s", "model"),
        Panel("columns", "columns", "step_s", "model"),
        Panel("columns", "columns", "host_gb", "model"),
        Panel("batches", "batch", "records_per_s", "model"),
    ],
}


@in_style
def plot_panels(path: Path, tables: dict[str, list[dict]], panels: list[Panel]) -> None:
    """Both axes logarithmic, so that a power law is a line and its exponent the slope.

    Panels of a table with one row are left out, where there are others.
    """
    panels = [panel for panel in panels if panel.table in tables]
    panels = [panel for panel in panels if len(tables[panel.table]) > 1] or panels
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        rows = tables[panel.table]
        names = dict.fromkeys(row[panel.by] for row in rows)
        for name in names:
            line = [(row[panel.x], row[panel.y]) for row in rows if row[panel.by] == name]
            axes.plot(*zip(*sorted(line), strict=True), label=f"{name_axis(panel.by)} {name}")
        for axis, column in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
            use_logarithm(axis, [row[column] for row in rows])
            axis.set_label_text(name_axis(column))
        if len(names) > 1:
            axes.legend()
    save(figure, path)


def name_axis(column: str) -> str:
    """What a column of a record is called: step_s is "step, seconds"."""
    for ending, unit in UNITS.items():
        if column.endswith(ending):
            column = column.removesuffix(ending) + unit
            break
    return "NFE" if column == "nfe" else column.replace("_", " ")
