"""The log of a run: one JSON object per line, safe to append to after a resume."""

from __future__ import annotations

import json
import os
from pathlib import Path


def read_metrics(path: str | Path) -> list[dict]:
    """All whole rows of a metrics file; a line cut short by a kill is left out."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def drop_after(path: str | Path, step: int) -> None:
    """Removes rows that a resume from `step` will write again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    temporary = Path(path).with_name(Path(path).name + ".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
    os.replace(temporary, path)


def append_metrics(path: str | Path, row: dict) -> None:
    """Adds one row and hands it to the operating system at once."""
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")
