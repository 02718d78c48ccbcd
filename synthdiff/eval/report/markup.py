"""HTML building blocks: every string that comes from data is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from synthdiff.eval.report.style import CSS


class Html(str):
    """Text that is HTML already; every other value is escaped by `safe`."""

    __slots__ = ()


def safe(value: object) -> Html:
    """The value as HTML: escaped unless it is Html."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """`<name attribute="...">children</name>`; write `class_` for class."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """The parts as HTML, one after the other."""
    return Html("".join(map(safe, parts)))


def remark(*children: object, tone: str = "") -> Html:
    """A paragraph that stands out; tone: its classes, of which "good", "warn" and "bad"
    colour it.
    """
    return tag("p", *children, class_=f"note {tone}".strip())


def _align(left: bool) -> dict:
    return {"class_": "text"} if left else {}


def table(
    caption: object,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    text: int = 1,
    compact: bool = False,
) -> Html:
    """A table whose first cells are row headings and whose first `text` columns align left.

    A row shorter than the header ends in a reason, which spans what is left of the row.
    """
    heads = [tag("th", cell, scope="col", **_align(at < text)) for at, cell in enumerate(header)]
    body = []
    for first, *cells in rows:
        short = len(cells) + 1 < len(header)
        *cells, last = cells
        tds = [tag("td", cell, **_align(at < text)) for at, cell in enumerate(cells, 1)]
        if short:
            tds.append(tag("td", last, class_="why", colspan=len(header) - len(cells) - 1))
        else:
            tds.append(tag("td", last, **_align(len(header) <= text)))
        body.append(tag("tr", tag("th", first, scope="row"), *tds))
    parts = (tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body))
    names = ("scroll", "compact" * compact, "dense" * (len(header) > 5))
    return tag("div", tag("table", *parts), class_=" ".join(filter(None, names)))


def image(source: str, alt: str, caption: object) -> Html:
    """A figure with its caption. source: a data URI."""
    return tag(
        "figure",
        Html(f'<img src="{escape(source)}" alt="{escape(alt)}">'),
        tag("figcaption", caption),
    )


def section(name: str, title: str, *body: object) -> Html:
    """A section of the page; links reach it by its lower-case name."""
    return tag("section", tag("h2", title, id=name.lower()), *body)


def page(title: str, body: Iterable[object]) -> Html:
    """The whole document, with its style sheet inside."""
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
    )
    return Html(f"{head}{tag('main', *body)}</body></html>\n")
