"""One small chart per column: real rows against synthetic rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthdiff.data.schema import Schema
from synthdiff.eval import plots
from synthdiff.eval.report.formats import Result, percent, why_absent
from synthdiff.eval.report.markup import Html, image, join, remark, tag

MAX_MARGINALS = 48


def write_marginals(
    marginals: Result, columns: Mapping, order: Sequence[str], schema: Schema
) -> Html:
    """A chart per column in the given order, at most MAX_MARGINALS of them."""
    head = tag("h3", "Distributions")
    reason = why_absent(marginals)
    if reason:
        return join((head, remark(reason)))
    names = [name for name in order if name in marginals]
    names += [name for name in marginals if name not in order]
    kinds = {column.name: column.kind for column in schema.columns}
    drawn = names[:MAX_MARGINALS]
    note = f"In the order of the table above: {len(drawn)} of {len(names)} columns."
    figures = [
        _draw_marginal(name, marginals[name], columns.get(name) or {}, kinds.get(name))
        for name in drawn
    ]
    return join((head, tag("p", note), write_key(), tag("div", *figures, class_="grid")))


def write_key() -> Html:
    """What the marks of the figures mean."""
    items = []
    for name, label in (
        ("train", "real, train"),
        ("test", "real, test"),
        ("synthetic", "synthetic"),
    ):
        style = plots.TABLES[name]
        dash = ' stroke-dasharray="2 2"' if style["linestyle"] == ":" else ""
        fill = style.get("markerfacecolor", style["color"])
        shape = (
            f'<path d="M22 1L27 6L22 11L17 6Z" fill="{fill}" stroke="{style["color"]}"/>'
            if style["marker"] == "D"
            else f'<circle cx="22" cy="6" r="4" fill="{fill}" stroke="{style["color"]}"/>'
        )
        line = f'<path d="M0 6H44" stroke="{style["color"]}" stroke-width="2"{dash}/>'
        drawing = Html(f'<svg viewBox="0 0 44 12" aria-hidden="true">{line}{shape}</svg>')
        items.append(tag("li", drawing, label))
    return tag("ul", *items, class_="key")


def _draw_marginal(name: str, marginal: Mapping, column: Mapping, kind: str | None) -> Html:
    reason = why_absent(marginal)
    if reason:
        return tag("figure", tag("figcaption", tag("b", name), reason))
    scores = f"score {percent(column.get('score'))}, floor {percent(column.get('floor'))}"
    labels = marginal.get("labels", ())
    if len(labels) > plots.MAX_LABELS:
        scores += f"; {plots.MAX_LABELS} most common of {len(labels)} values"
    source = plots.plot_marginal(marginal, dates=kind == "datetime")
    alt = f"Distribution of {name}: real training and test rows against synthetic rows; {scores}."
    return image(source, alt, join((tag("b", name), scores)))
