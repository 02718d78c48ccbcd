"""The figures of the speed benchmarks: columns of a record's tables against each other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt


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
    "scaling": [Panel("devices", "devices", "efficiency", "scaling")],
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
    ],
}


def plot_panels(path: Path, tables: dict[str, list[dict]], panels: list[Panel]) -> None:
    """Both axes logarithmic, so that a power law is a line and its exponent the slope."""
    panels = [panel for panel in panels if panel.table in tables]
    figure, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.6), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        rows = tables[panel.table]
        for name in dict.fromkeys(row[panel.by] for row in rows):
            line = [(row[panel.x], row[panel.y]) for row in rows if row[panel.by] == name]
            axis.loglog(*zip(*sorted(line), strict=True), "o-", label=f"{panel.by} {name}")
        axis.set(xlabel=panel.x, ylabel=panel.y, title=panel.table)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
