"""The log of a run: one JSON object per line, safe to append to after a resume."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from synthdiff._files import explain_writing, write_atomically


def read_metrics(path: str | Path) -> list[dict]:
    """All whole rows of a metrics file; a line cut by a kill or damaged is left out."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
    return rows


def drop_after(path: str | Path, step: int) -> None:
    """Removes rows that a resume from `step` will write again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept).encode(), private=True)


def append_metrics(path: str | Path, row: dict) -> None:
    """Adds one row, to a file for its owner alone, and hands it to the system at once."""
    with explain_writing(path), open(path, "a", opener=partial(os.open, mode=0o600)) as file:
        file.write(json.dumps(row) + "\n")
