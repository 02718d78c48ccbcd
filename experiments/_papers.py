"""A table read from a record of results, and how far a new measurement may be from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from synthdiff._validate import input_error
from synthdiff.eval.report.formats import number
from synthdiff.eval.spread import describe_spread

SURE = 0.99  # that another training by the same code is within the tolerance


class Line(NamedTuple):
    """One score of a table.

    pointers: where the record has it, as "/scores/shape"; "*" is each child of a node, whose mean
    and spread are shown. Text without a leading "/" is shown as it is.
    tolerance: how much a new measurement may differ where the record knows no spread over seeds;
    None: not compared, as seconds are.
    """

    label: str
    digits: int
    tolerance: float | None
    pointers: tuple[str, ...]


class Table(NamedTuple):
    """What a record of experiments/results shows.

    columns: their names, one for each pointer of a line; or a pointer to a node of the record
    whose children are the columns, each line then having one pointer within a child.
    name: of a column that is an item of a list, such as "{index}, {rows} rows".
    tall: the columns are printed as rows.
    plot: draws the figure from the record and its grid into a file.
    by_hand: how to measure it anew where the record's command alone does not.
    """

    title: str
    record: str
    columns: tuple[str, ...] | str
    lines: tuple[Line, ...]
    name: str = ""
    tall: bool = False
    note: str = ""
    plot: Callable[[dict, Grid, Path], None] | None = None
    by_hand: str = ""


class Cell(NamedTuple):
    """A value with its spread over seeds or its interval, if it has one."""

    value: float | str | None
    digits: int = 0
    tolerance: float | None = None
    std: float | None = None
    lower: float | None = None
    upper: float | None = None
    seeds: int = 1

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        if self.lower is not None:
            return number(self._asdict(), self.digits)
        tail = "" if self.std is None else f" ± {number(self.std, self.digits)}"
        return number(self.value, self.digits) + tail


Grid = dict[str, dict[str, Cell]]  # {row: {column: cell}}


def find(node: object, pointer: str) -> object:
    """What the record has at a pointer; a list of it where the pointer has a "*"."""
    keys = pointer.split("/")[1:]
    for i, key in enumerate(keys):
        if key == "*":
            rest = "".join(f"/{k}" for k in keys[i + 1 :])
            return [find(child, rest) for child in node.values()]
        try:
            node = node[int(key) if isinstance(node, list) else key]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            fix = "measure again, or point elsewhere in experiments/_paper_tables.py"
            raise input_error(f"record, {pointer}", f"has no {key!r}", fix) from error
    return node


def make_cell(node: object, line: Line) -> Cell:
    """A node of a record as a cell: text, a number, values over seeds, a summary or an interval.

    The spread is over seeds; where there is one seed, over the tables drawn with it. Values that
    are the same for all seeds have none.
    """
    about = (line.digits, line.tolerance)
    if isinstance(node, list):
        node = describe_spread(node)
    if not isinstance(node, dict):
        return Cell(node, *about)
    if "skipped" in node:
        return Cell("skipped")
    if "value" in node:
        return Cell(node["value"], *about, lower=node["lower"], upper=node["upper"])
    values, names = node["values"], ("std", "std_seeds", "std_samples")
    std = next((node[name] for name in names if node.get(name) is not None), None)
    if len(values) > 1 and np.allclose(values, values[0], rtol=1e-9, atol=0):
        std = None
    return Cell(node["mean"], *about, std=std, seeds=len(values))


def read_record(table: Table, results: Path) -> dict:
    """The table's record in the folder of results, or an error that says to measure it."""
    path = results / table.record
    if not path.exists():
        raise input_error(str(path), "no such record", "measure it, with --record on that file")
    return json.loads(path.read_text())


def read_grid(table: Table, record: dict) -> Grid:
    """The cells of a table."""

    def cell(node: object, pointer: str, line: Line) -> Cell:
        return make_cell(find(node, pointer), line) if pointer[:1] == "/" else Cell(pointer)

    if isinstance(table.columns, str):
        nodes = find(record, table.columns)
        if isinstance(nodes, list):
            nodes = {table.name.format(**node): node for node in nodes}
        grid = {
            line.label: {k: cell(node, line.pointers[0], line) for k, node in nodes.items()}
            for line in table.lines
        }
    else:
        grid = {
            line.label: {
                name: cell(record, pointer, line)
                for name, pointer in zip(table.columns, line.pointers, strict=True)
            }
            for line in table.lines
        }
    if not table.tall:
        return grid
    return {name: {row: grid[row][name] for row in grid} for name in next(iter(grid.values()))}


def allow(expected: Cell, seeds: int) -> float | None:
    """How far the mean of `seeds` new trainings may be from the record; None: not compared.

    With a spread over n seeds, half the 99% prediction interval of a mean of others by Student's
    t: another machine rounds otherwise, and that is as good as another seed.
    """
    if expected.tolerance is None or not isinstance(expected.value, int | float):
        return None
    if expected.std is None or expected.seeds < 2:
        return expected.tolerance
    reach = student.ppf((1 + SURE) / 2, expected.seeds - 1) * expected.std
    return max(expected.tolerance, float(reach * (1 / expected.seeds + 1 / seeds) ** 0.5))


def compare(expected: Grid, measured: Grid) -> list[dict]:
    """A row for each cell that is compared: both values, the tolerance, and "within"."""
    rows = []
    for row, cells in expected.items():
        for column, cell in cells.items():
            new = measured.get(row, {}).get(column, Cell("absent"))
            tolerance = allow(cell, new.seeds)
            if tolerance is not None:
                there = isinstance(new.value, int | float)
                within = there and abs(new.value - cell.value) <= tolerance
                found = {"measured": new.value, "within": within}
                known = {"score": f"{row}, {column}", "expected": cell.value}
                rows.append(known | {"tolerance": tolerance} | found)
    return rows
