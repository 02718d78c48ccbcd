"""Records of the speed benchmarks: tables of rows as JSON, Markdown and one plot."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from _common import describe_origin, locate_record, write_record


class Panel(NamedTuple):
    """One panel of the plot: columns x and y of a table, a line for each value of column `by`."""

    table: str
    x: str
    y: str
    by: str


def format_cell(value: object) -> str:
    """A fact; of a value with its "lower" and "upper" end, all three."""
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return "{} ({} to {})".format(*(format_cell(value[k]) for k in ("value", "lower", "upper")))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_table(rows: list[dict]) -> list[str]:
    """Markdown lines; all rows have the same columns."""
    lines = [f"| {' | '.join(rows[0])} |", f"|{' --- |' * len(rows[0])}"]
    return lines + [f"| {' | '.join(map(format_cell, row.values()))} |" for row in rows]


def take_means(rows: list[dict]) -> list[dict]:
    """The rows with the mean in the place of every summary over runs."""
    return [{k: v["mean"] if isinstance(v, dict) else v for k, v in row.items()} for row in rows]


def format_record(title: str, record: dict) -> str:
    """What is needed to repeat the record, then every table."""
    lines = [f"# {title}", "", f"    {record['command']}", ""]
    skipped = ("command", "versions", "tables")
    facts = {key: value for key, value in record.items() if key not in skipped}
    lines += [f"- {key}: {format_cell(value)}" for key, value in facts.items()]
    for name, rows in record["tables"].items():
        lines += ["", f"## {name}", "", *format_table(rows)]
    return "\n".join(lines) + "\n"


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


def report(default: Path, title: str, facts: dict, tables: dict, panels: list[Panel]) -> None:
    """Writes the record to --record, or else `default`, with its Markdown and its plot beside.

    A table without rows was not asked for and is left out.
    """
    about = describe_origin()
    tables = {name: rows for name, rows in tables.items() if rows}
    record = about | facts | {"tables": tables}
    write_record(default, record, format_record(title, record))
    plot_panels(locate_record(default).with_suffix(".png"), tables, panels)
