"""The datasheet of the table that a run learnt from, as far as the run knows it.

The questions are those of Gebru et al. 2021 (arXiv 1803.09010). What only the holder of the table
can say stands as a question to answer, not as a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.card import INTENDED
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.report.formats import number

ASK = "**To be answered by the holder of the table:** "


def _name_roles(column: Column, schema: Schema) -> str:
    roles = {
        "patient": column.name == schema.entity,
        "unit of visits": column.name == schema.group,
        "order of visits": column.name == schema.order,
        "target": column.name == schema.target,
        "sensitive": column.name in schema.sensitive,
    }
    return ", ".join(role for role, holds in roles.items() if holds)


def _count_values(column: Column) -> str:
    if column.categories:
        origin = "public" if column.public else "read from the table"
        return f"{len(column.categories)} categories, {origin}"
    return "bounds are public" if column.public else ""


def _describe_columns(schema: Schema) -> list[str]:
    rows = [(c.name, c.kind, _name_roles(c, schema), _count_values(c)) for c in schema.columns]
    return format_rows(["column", "kind", "role", "values"], rows, left=4)


def _describe_composition(manifest: Mapping, schema: Schema) -> list[str]:
    rows, patients = manifest.get("rows") or {}, manifest.get("patients") or {}
    row = "a visit of a patient" if schema.order else "one record"
    unit = f"a value of `{schema.entity}`" if schema.entity else "a row"
    learnt = f"{number(patients.get('train'), 0)} patients were learnt from"
    if rows:  # a private run counts patients alone
        every, kept = (number(rows.get(part), 0) for part in ("all", "train"))
        learnt = f"{every} rows, of which {kept} of {learnt}"
    facts = [
        f"A row is {row}; a patient is {unit}.",
        f"{learnt}. The others, of other patients, are held out to evaluate and to audit.",
        "Sensitive columns: " + (", ".join(schema.sensitive) or "none is declared") + ".",
    ]
    asks = [
        f"{ASK}is it a sample, and of whom? Who is absent? Are missing cells missing by chance?",
        f"{ASK}are rows of different patients related, as in a family? If so, the column that "
        "names the patient should name the family.",
    ]
    return [*(f"- {item}" for item in (*facts, *asks)), "", *_describe_columns(schema)]


def _describe_processing(manifest: Mapping) -> list[str]:
    notes = list(manifest.get("codec_notes") or ())
    notes.append("Identifiers are never modelled; synthetic rows get fresh ones.")
    if (manifest.get("differential_privacy") or {}).get("epsilon"):
        notes.append("Rows of a patient beyond a fixed number were dropped at random.")
    return [f"- {note}" for note in (*notes, f"{ASK}what was done to the table before?")]


def write_datasheet(*, manifest: Mapping, schema: Schema) -> str:
    """The datasheet as Markdown: counts, names and kinds of columns, and no real value."""
    holder = "whoever holds it decides; no file of the run replaces a contract or an ethics vote."
    sections = {
        "Motivation": [f"{ASK}for what, by whom and with whose money was it made?"],
        "Composition": _describe_composition(manifest, schema),
        "Collection": [
            f"{ASK}how, where and when was it collected, and who agreed to what? Can somebody "
            "withdraw? A model that is trained already does not forget."
        ],
        "Preprocessing": _describe_processing(manifest),
        "Uses": [f"Here: to train a generator of synthetic rows. These are for: {INTENDED}"],
        "Distribution": [f"The table itself is in no file of this run. Who may have it, {holder}"],
        "Maintenance": [
            f"A model learnt from the table at {manifest.get('created') or 'an unknown date'}. A "
            "hash of it tells who is in it, so none stands here: manifest.json has one, for the "
            "owner, unless training was private.",
            "",
            f"{ASK}who mends errors, and how do users of the synthetic table learn of them?",
        ],
    }
    name = Path(manifest.get("dataset") or "not recorded").name
    lines = [f"# Datasheet of {name}", ""]
    for title, body in sections.items():
        lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines)
