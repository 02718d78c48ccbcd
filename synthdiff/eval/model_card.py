"""The card of a trained model: from what, how, how good, how private, for what, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthdiff.data.schema import KINDS, Schema
from synthdiff.eval.card import INTENDED, LIMITS, format_gates, list_untested
from synthdiff.eval.claim import COLUMNS, describe_claim, list_bounds
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.policy import add_run
from synthdiff.eval.report.formats import METRICS, flatten, number

_MISUSE = (
    "Asking whether somebody was a patient, or what is true of a patient whose other values are "
    "known.",
    "Passing on the model where only its table was tested: its weights tell more than its tables.",
    "Drawing one group until its rarest patients appear.",
    "Trials, doses, prices, diagnoses or any other decision about people.",
)
_LEARNT = "learnt from real rows"
_OWNER, _RELEASED = "no", "only as experiments/release.py wrote it"
# name: (what it is, what of the real rows is in it, whether others may have it). What begins with
# "no" or is never theirs has mode 0600 and stands in PRIVATE.txt, and nothing else has or does.
FILES = {
    "DATASHEET.md": ("what is known of the table learnt from", "counts", _OWNER),
    "MODEL_CARD.md": ("this card", "scores", "yes"),
    "PRIVATE.txt": ("which files are for the owner alone", "nothing", "yes"),
    "SHA256SUMS": ("checksums of the files", "checksums", _OWNER),
    "audit.json": ("attacks, gates, and the records nearest to real ones", "row numbers and "
                   "distances", "no; release/ has one without those records"),
    "canaries.json": ("lower bounds on epsilon beside the claim", "number of patients", "yes"),
    "canaries.md": ("the same, to read", "nothing", "yes"),
    "checkpoints": ("states of the training, to go on from", _LEARNT, _OWNER),
    "warm_up": ("states of the training on drawn records, to go on from", _LEARNT, _OWNER),
    "codec.json": ("how columns are encoded", "values and averages of enough patients", _OWNER),
    "config.json": ("settings of model, training and sampler", "nothing", "yes"),
    "dp_secret": ("seed of the private noise", "it undoes the guarantee", "never"),
    "evaluation.json": ("fidelity, detection, utility, groups", "shares and scores", _OWNER),
    "manifest.json": ("how the run was made", "a hash of the table", _OWNER),
    "metadata.json": ("names and kinds of columns, for SDV and SDMetrics", "nothing", "yes"),
    "metrics.jsonl": ("loss by step", "averages over batches", _OWNER),
    "privacy.json": ("guarantee of differential privacy, ledger", "number of patients", "yes"),
    "refusal.json": ("why there is no release", "single findings", _OWNER),
    "release": ("the table and what goes with it", "what its own card says", "yes"),
    "report.html": ("the results as a page", "shares and scores", _RELEASED),
    "schema.json": ("columns, kinds and bounds", "categories and bounds", _OWNER),
    "synthetic.csv": ("the synthetic table", _LEARNT, _RELEASED),
    "timings.json": ("seconds of each stage", "nothing", "yes"),
    "trajectory.json": ("how synthetic rows come out of noise", "shares of synthetic rows", _OWNER),
    "frontier.json": ("what other settings gave, if asked for", "scores of a study", _OWNER),
    "visits.json": ("how visits become one record", "values of enough patients", _OWNER),
    "weights.msgpack": ("the model", _LEARNT, "no, unless trained with differential privacy"),
}  # fmt: skip


def _describe_data(manifest: Mapping, schema: Schema) -> list[str]:
    rows, patients = manifest.get("rows") or {}, manifest.get("patients") or {}
    unit = f"distinct values of `{schema.entity}`" if schema.entity else "one for each row"
    facts = {
        "table": Path(manifest.get("dataset") or "not recorded").name,
        f"patients, {unit}": number(patients.get("train"), 0),
        "target": schema.target or "none",
        "sensitive": ", ".join(schema.sensitive) or "none",
    }
    if rows:  # a private run counts patients alone
        facts["rows it was trained on"] = number(rows.get("train"), 0)
        facts["rows of the whole table"] = number(rows.get("all"), 0)
    if schema.order:
        facts["rows are visits, in the order of"] = schema.order
    kinds = {kind: [c.name for c in schema.columns if c.kind == kind] for kind in KINDS}
    facts |= {f"{len(names)} {kind}": ", ".join(names) for kind, names in kinds.items() if names}
    return [f"- {name}: {fact}" for name, fact in facts.items()]


def _list_results(evaluation: Mapping) -> list[tuple[str, object, object]]:
    fidelity, detection = evaluation["fidelity"], evaluation["detection"]
    rows = [
        (f"fidelity: {part}, %", fidelity[part], fidelity["floor"][part])
        for part in ("rate", "shape", "trend")
    ]
    rows.append(("detection AUC", detection.get("auc", detection), detection.get("floor")))
    mean = evaluation["utility"].get("mean")
    if mean is None:
        return [*rows, ("utility", evaluation["utility"], None)]
    named = [(METRICS.get(name, name), value, name) for name, value in mean["tstr"].items()]
    return rows + [
        (f"{label} of models trained on it", value, mean["trtr"][name])
        for label, value, name in named
    ]


def _describe_results(evaluation: Mapping) -> list[str]:
    lines = ["Synthetic rows, and beside them what real rows reach: the floor.", ""]
    rows = [
        (name, number(value), number(floor)) for name, value, floor in _list_results(evaluation)
    ]
    return lines + format_rows(["score", "synthetic", "real"], rows)


def _describe_guarantee(manifest: Mapping, canaries: Mapping | None) -> list[str]:
    guarantee = manifest.get("differential_privacy")
    if not guarantee:
        return ["No differential privacy: nothing bounds the risk from above."]
    claim = "Trained with differential privacy: epsilon {epsilon:g}, delta {delta:g}."
    words = describe_claim(manifest, canaries)
    lines = [claim.format_map(guarantee), "", *(f"- {who}: {text}" for who, text in words.items())]
    if rows := list_bounds(manifest, canaries):
        lines += ["", *format_rows(COLUMNS, rows)]
    return lines


def _describe_privacy(
    manifest: Mapping, schema: Schema, audit: Mapping, canaries: Mapping | None
) -> list[str]:
    lines = [*_describe_guarantee(manifest, canaries), ""]
    lines += [f"Audit of the table: **{audit['verdict']}**.", ""]
    lines += [*(f"- {reason}" for reason in audit["reasons"]), ""]
    if model := audit.get("whitebox"):
        lines += [f"Audit of the model itself: **{model['verdict']}**.", ""]
        lines += [*(f"- {reason}" for reason in model["reasons"]), ""]
    gates = add_run(audit, manifest, canaries)["gates"]
    lines += [*format_gates(gates, audit), "", "Not tested:", ""]
    return lines + [f"- {item}" for item in list_untested(audit, manifest, schema)]


def _describe_making(manifest: Mapping) -> list[str]:
    device = manifest.get("device") or {}
    facts = {
        "parameters": number(manifest.get("parameters"), 0),
        "commit": manifest.get("git_revision"),
        "created": manifest.get("created"),
        "device": " x ".join(str(device[key]) for key in ("count", "kind") if key in device),
    }
    if teacher := manifest.get("teacher"):
        facts["learnt from"] = f"{number(teacher['records'], 0)} records that another model drew"
    chosen = {"seed": manifest.get("seeds"), "version": manifest.get("versions")}
    settings = flatten({**(manifest.get("config") or {}), **chosen})
    return [f"- {name}: {fact}" for name, fact in (*facts.items(), *settings)]


def write_model_card(
    *,
    manifest: Mapping,
    schema: Schema,
    evaluation: Mapping,
    audit: Mapping,
    canaries: Mapping | None = None,
) -> str:
    """The card as Markdown: scores, counts, names of columns and settings, and no real value.

    Arguments as of `write_report`. The scores were computed from real rows without noise, also
    where training was private.
    """
    limits = ["Scores and counts on this card are of real rows, without noise.", *LIMITS]
    about = ["file", "what", "of the real rows", "for others"]
    files = format_rows(about, [(name, *cells) for name, cells in FILES.items()], left=4)
    sections = {
        "Intended use": [INTENDED],
        "Misuse": [f"- {item}" for item in _MISUSE],
        "Limits": [f"- {item}" for item in limits],
        "Training data": _describe_data(manifest, schema),
        "Results": _describe_results(evaluation),
        "Privacy": _describe_privacy(manifest, schema, audit, canaries),
        "How it was made": _describe_making(manifest),
        "Files of this folder": ["Those that a run leaves; this one may lack some.", "", *files],
    }
    lines = ["# Model card", ""]
    for title, body in sections.items():
        lines += [f"## {title}", "", *body, ""]
    return "\n".join(lines)
