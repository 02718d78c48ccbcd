"""Records of the speed benchmarks: tables of rows as JSON, Markdown and one plot."""

from __future__ import annotations

from pathlib import Path

from _panels import PANELS, plot_panels
from _results import describe_origin, locate_record, write_record

from synthdiff.eval.markdown import format_rows


def format_cell(value: object) -> str:
    """A fact; of a value with its "lower" and "upper" end, all three."""
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return "{} ({} to {})".format(*(format_cell(value[k]) for k in ("value", "lower", "upper")))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_table(rows: list[dict]) -> list[str]:
    """Markdown lines; all rows have the same columns."""
    cells = [[format_cell(value) for value in row.values()] for row in rows]
    return format_rows(list(rows[0]), cells, left=len(rows[0]))


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


def report(default: Path, title: str, facts: dict, tables: dict) -> None:
    """Writes the record to --record, or else `default`, with its Markdown and its plot beside.

    The plot has the panels of that name, such as "sampling" for sampling.json.
    A table without rows was not asked for and is left out.
    """
    about = describe_origin()
    tables = {name: rows for name, rows in tables.items() if rows}
    record = about | facts | {"tables": tables}
    write_record(default, record, format_record(title, record))
    plot_panels(locate_record(default).with_suffix(".png"), tables, PANELS[default.stem])
