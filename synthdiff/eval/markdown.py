"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def format_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """The lines of a table whose first `left` columns are text, the others numbers."""
    marks = ["---" if i < left else "---:" for i in range(len(columns))]
    head = " | ".join(columns).lstrip()  # the first may be without a name
    return [f"| {head} |", *(f"| {' | '.join(cells)} |" for cells in (marks, *rows))]
