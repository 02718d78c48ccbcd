"""Where the table comes from: the head of the page, training, settings, schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthdiff.data.schema import Column, Schema
from synthdiff.eval import plots
from synthdiff.eval.policy import name_earlier
from synthdiff.eval.report.formats import Result, flatten, number, why_absent
from synthdiff.eval.report.markup import Html, image, remark, section, table, tag

FACTS = {
    "Data set": ("dataset",),
    "Date": ("date", "created"),
    "Commit": ("commit", "git_revision"),
    "Seed": ("seed", "seeds"),
}


def find_fact(manifest: Mapping, fact: str) -> str:
    """A fact of FACTS as text, under whichever of its names the manifest has it."""
    value = next((manifest[key] for key in FACTS[fact] if manifest.get(key) is not None), None)
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)


def write_head(manifest: Mapping, evaluation: Result) -> Html:
    """Title and the facts that identify the run."""
    facts = {name: find_fact(manifest, name) for name in FACTS}
    facts["Date"] = facts["Date"].partition("T")[0]
    commit, dash, state = facts["Commit"].partition("-")
    facts["Commit"] = f"{commit[:12]}{dash}{state}"
    rows = (evaluation or {}).get("rows") or {}
    if manifest.get("differential_privacy"):  # of the real rows only the patients are public
        rows = {name: count for name, count in rows.items() if name == "synthetic"}
    if rows:
        facts["Rows"] = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    pairs = [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts.items()]
    title = tag("h1", "Synthetic data report")
    return tag("header", title, tag("dl", *pairs, class_="facts"))


def write_limits(manifest: Mapping) -> Html:
    """What the numbers below can and cannot show."""
    guarantee = manifest.get("differential_privacy")
    if guarantee:  # the claim; its ledger is in the manifest
        guarantee = {k: v for k, v in guarantee.items() if not isinstance(v, Mapping | list)}
        settings = ", ".join(
            f"{name} = {text}".removeprefix(" = ") for name, text in flatten(guarantee)
        )
        privacy = (
            "Training used differential privacy, which bounds the risk from above as far as its "
            f"claim holds (see Guarantee): {settings}."
        )
    else:
        privacy = "No differential privacy was used, so nothing here bounds the risk from above."
    earlier = name_earlier(manifest)
    points = (
        "An attack that fails is not proof of safety: attacks give a lower bound on the risk. "
        "A better attacker may succeed where these did not.",
        f"Only differential privacy gives an upper bound. {privacy}",
        *([f"The model had learnt before from {earlier}; no test is on them."] * bool(earlier)),
        "The floor is the score of two real samples (training against test rows). A synthetic "
        "table as good as a second real sample reaches the floor; 100% is not to be expected.",
        "Fidelity compares columns one by one and in pairs. Relations among three or more columns "
        "are seen only by detection and utility.",
        "Averages hide small groups. Groups and codes of enough patients are judged in sections of "
        "their own; smaller ones may fare worse than any number here.",
        "The page shows aggregates (counts, shares, scores) and no record, real or synthetic.",
    )
    title = "What this report does and does not show"
    return section("Limits", title, tag("ul", *(tag("li", item) for item in points)))


def write_training(training: Sequence[Mapping] | None) -> Html:
    """The training loss by step."""
    title = "Training"
    training = [row for row in training or () if "loss" in row]  # a private run logs none
    if why_absent(training or None):
        return section("Training", title, remark(why_absent(None)))
    last = training[-1]
    final = f"loss {number(last.get('loss'))}"
    caption = f"Training loss by step; lower is better. At step {last['step']:,}: {final}."
    alt = f"Line chart of the training loss up to step {last['step']:,}: {final}."
    return section("Training", title, image(plots.plot_training(training), alt, caption))


def _describe_values(column: Column) -> str:
    """Vocabulary size and bounds; bounds that are not public may be someone's value."""
    parts = [f"{len(column.categories)} categories"] if column.categories else []
    bounded = None not in (column.lower, column.upper)
    if bounded and column.public:
        parts.append(f"{column.lower:g} to {column.upper:g}")
    elif bounded:
        parts.append("bounds set")
    return ", ".join([*parts, *(["public"] if column.public else [])])


def write_provenance(manifest: Mapping, schema: Schema) -> Html:
    """Every setting of the manifest and every column of the schema; no hash of the table, which
    tells who is in it.
    """
    shown = {key: value for key, value in manifest.items() if key != "data_sha256"}
    settings = [(tag("code", key), text) for key, text in flatten(shown) if key]
    roles = {schema.entity: "patient", schema.target: "target", schema.order: "order of visits"}
    rows = []
    for column in schema.columns:
        own = [roles.get(column.name), "sensitive" if column.name in schema.sensitive else None]
        role = ", ".join(filter(None, own))
        rows.append((column.name, column.kind, column.dtype, role, _describe_values(column)))
    header = ("Column", "Kind", "Type", "Role", "Values")
    parts = (
        tag("h3", "Run"),
        table(
            "What is needed to repeat this run.",
            ("Setting", "Value"),
            settings,
            text=2,
            compact=True,
        )
        if settings
        else remark("No manifest was recorded."),
        tag("h3", "Schema"),
        table(f"{len(schema.columns)} columns.", header, rows, text=5, compact=True),
    )
    return section("Provenance", "Provenance", *parts)
