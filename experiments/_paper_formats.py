"""Tables of records as Markdown, LaTeX, CSV and figures, and between markers in the README."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping
from pathlib import Path

from _papers import Grid, Table, read_grid, read_record

from synthdiff._files import make_folder, write_atomically
from synthdiff._validate import input_error, one_of
from synthdiff.eval.markdown import format_rows

LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "−": "$-$", "–": "--", "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}"} | {c: f"\\{c}" for c in "%_&#{}$"}  # fmt: skip
BLOCK = re.compile(r"<!-- table: (\S+) -->(.*?)<!-- end -->", re.S)
OPENING = "<!-- table:"


def format_markdown(grid: Grid) -> str:
    columns = list(next(iter(grid.values())))
    rows = [[row, *map(str, cells.values())] for row, cells in grid.items()]
    return "\n".join(format_rows(["", *columns], rows))


def format_latex(grid: Grid, title: str) -> str:
    """A table environment for the booktabs package."""
    columns = list(next(iter(grid.values())))
    rows = [["", *columns], *([row, *map(str, cells.values())] for row, cells in grid.items())]
    lines = [" & ".join("".join(LATEX.get(c, c) for c in cell) for cell in row) for row in rows]
    caption = "".join(LATEX.get(c, c) for c in title)
    head, *body = (rf"{line} \\" for line in lines)
    start = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
    start += [rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*start, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def format_csv(grid: Grid) -> str:
    """One line per cell, every number in full."""
    fields = ("value", "std", "lower", "upper", "seeds")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "column", *fields])
    for row, cells in grid.items():
        for column, cell in cells.items():
            writer.writerow([row, column, *(getattr(cell, field) for field in fields)])
    return text.getvalue()


def write_table(name: str, table: Table, results: Path, out: Path) -> None:
    """NAME.csv, .tex and .md, and NAME.png and .svg where the table has a figure."""
    record = read_record(table, results)
    grid = read_grid(table, record)
    about = [f"{k}: {record[k]}" for k in ("command", "commit", "device") if record.get(k)]
    text = [f"# {table.title}", "", format_markdown(grid), "", *filter(None, [table.note]), ""]
    files = {
        "md": "\n".join([*text, *(f"- {line}" for line in about), ""]),
        "tex": format_latex(grid, f"{table.title}. {table.note}".strip()),
        "csv": format_csv(grid),
    }
    make_folder(out)
    for suffix, content in files.items():
        write_atomically(out / f"{name}.{suffix}", content.encode())
    for suffix in ("png", "svg") if table.plot else ():
        table.plot(record, grid, out / f"{name}.{suffix}")
    print(f"{name}: {', '.join(sorted(path.name for path in out.glob(f'{name}.*')))} in {out}")


def read_page(page: Path) -> str:
    """A Markdown file; raises InputError where it cannot be read or has no table to compare."""
    try:
        text = page.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise input_error(
            str(page), f"cannot be read ({reason})", "name a Markdown file"
        ) from error
    if OPENING not in text:
        fix = f"put {OPENING} NAME --> and <!-- end --> where the table shall stand"
        raise input_error(str(page), "holds no table of a record", fix)
    return text


def fill_blocks(
    text: str, tables: Mapping[str, Table], results: Path, where: str | Path = "page"
) -> str:
    """The text with every block between markers as the records give it; where: its file."""

    def fill(block: re.Match) -> str:
        one_of(tables, table=block[1])
        table = tables[block[1]]
        found = format_markdown(read_grid(table, read_record(table, results)))
        return f"{OPENING} {block[1]} -->\n\n{found}\n\n<!-- end -->"

    blocks = BLOCK.findall(text)
    if text.count(OPENING) != len(blocks) or any(OPENING in body for _, body in blocks):
        raise input_error(str(where), "a table's marker has no <!-- end -->", "close every marker")
    return BLOCK.sub(fill, text)


def find_drift(path: Path, tables: Mapping[str, Table], results: Path) -> str:
    """The lines by which a file differs from what the records give; empty where it does not."""
    text = read_page(path)
    new = fill_blocks(text, tables, results, path)
    names = (str(path), "the records")
    return "\n".join(difflib.unified_diff(text.splitlines(), new.splitlines(), *names, n=0))
