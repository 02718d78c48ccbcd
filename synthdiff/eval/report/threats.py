"""The threat model: who might attack, with what in hand, and whether that was tried."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.data.schema import Schema
from synthdiff.eval.card import list_untested
from synthdiff.eval.report.formats import Result, why_absent
from synthdiff.eval.report.markup import Html, join, table, tag


def write_threats(audit: Mapping) -> Html:
    """A row per attacker: what they hold, what they ask, and how that was tried."""
    reference = f"{audit.get('reference_rows') or 0:,} real rows of other patients"
    disclosure = audit.get("disclosure") or {}
    rows = [
        ("Gets the table and suspects a person to be in the training data",
         f"that person's whole record, the synthetic table and {reference}",
         _count(audit.get("attacks"), "attacks on membership; copies")),
        ("The same, and knows all of the person's visits", "every visit of that person as well",
         _count((audit.get("whole_patients") or {}).get("attacks"), "attacks on trajectories")),
        ("Gets the table and knows nobody", "the synthetic table",
         _count(disclosure.get("singling_out"), "ways of singling out; nearest matches")),
        ("Knows part of a person's record and wants the rest",
         "the synthetic table and some columns of that person",
         _count(disclosure.get("inference"), "columns inferred; linkability")),
        ("Gets the model", "weights and settings, besides all of the above",
         _count((audit.get("whitebox") or {}).get("attacks"), "attacks on the model")),
    ]  # fmt: skip
    caption = (
        "Every attacker is tried on patients whom the model learnt from and, as a control, on "
        "others of whom it knows nothing. None is assumed to be sloppy or in a hurry."
    )
    header = ("Who", "Holds", "Tried here")
    return join((tag("h3", "Threat model"), table(caption, header, rows, text=3)))


def _count(tried: Result, what: str) -> str:
    if not tried or why_absent(tried):
        return "not tried"
    return f"{len(tried)} {what}"


def write_untested(audit: Mapping, manifest: Mapping, schema: Schema) -> Html:
    """What no number on the page speaks for."""
    items = list_untested(audit, manifest, schema)
    points = tag("ul", *(tag("li", f"{item[0].upper()}{item[1:]}.") for item in items))
    return join((tag("h3", "Not tested"), points))
