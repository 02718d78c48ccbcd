"""The card that goes with a released table: what it is for, what was tested, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthdiff.data.schema import Schema
from synthdiff.eval.markdown import format_rows
from synthdiff.eval.policy import name_earlier

INTENDED = (
    "Developing and testing software and analysis code, teaching, and planning studies whose "
    "results will be computed again on the real data."
)
LIMITS = (
    "Not for decisions about any person, and not for results that stand on their own.",
    "Rare groups and relations among three or more columns may be wrong.",
    "The table is not anonymous by proof. Tests give lower bounds on the risk: another attack may "
    "find more. Whether it is anonymous in law is for the controller or an expert to say; this "
    "card is evidence for them.",
    "Releasing more tables from the same data adds to the risk; it was tested for this table only.",
)


def list_untested(audit: Mapping, manifest: Mapping, schema: Schema) -> list[str]:
    """What no number of the audit speaks for, in words."""
    untested = [
        "attacks on the table by shadow generators trained alike, or by a diffusion model trained "
        "on it",
        "attackers who hold several releases, or tables linked to this one",
        "reconstruction of whole records by combining many statistics",
        "inference by more than the nearest synthetic record, and of columns not declared "
        "sensitive or target",
        "identity disclosure in a population: no register was compared",
    ]
    if not audit.get("whitebox"):
        untested.insert(0, "attackers who hold the model's weights; only the table is released")
    if earlier := name_earlier(manifest):
        untested.insert(0, f"{earlier}, from whom the model had learnt before these rows")
    if manifest.get("differential_privacy"):
        untested.append(
            "what the card, the audit and the report give away themselves: their numbers come from "
            "real rows without noise, and differential privacy covers the table alone"
        )
    else:
        untested.append("an upper bound on the risk: the generator has no differential privacy")
    if not (audit.get("disclosure") or {}).get("inference"):
        untested.append("inference of sensitive columns: none is declared")
    skipped = [f"stratum {k}" for k, v in (audit.get("strata") or {}).items() if "skipped" in v]
    return untested + ([f"too small to test: {', '.join(skipped)}"] if skipped else [])


def format_gates(gates: Sequence[Mapping], audit: Mapping) -> list[str]:
    """Lines that say how many were tested, and a table of the gates."""
    unit = audit["unit"]
    lines = [
        f"{audit['members']} {unit}s of the training data against {audit['nonmembers']} held out. "
        "Limits bind the upper end of a 95% interval.",
        "",
    ]
    rows = [(g["name"], g["status"], g["reason"], g["why"]) for g in gates]
    return lines + format_rows(["gate", "status", "result", "limit from"], rows, left=4)


def write_card(
    gates: Sequence[Mapping],
    accepted: Sequence[str],
    audit: Mapping,
    manifest: Mapping,
    schema: Schema,
    file_hashes: Mapping[str, str],
) -> str:
    """The card as Markdown; gates that a person accepted at CAUTION are named on top."""
    lines = ["# Synthetic table", "", f"Made from: {manifest.get('dataset', 'not recorded')}.", ""]
    if accepted:
        lines += ["## Released with cautions that a person accepted", ""]
        lines += [f"- **{g['name']}**: {g['reason']}" for g in gates if g["name"] in accepted]
        lines.append("")
    lines += ["## Intended use", "", INTENDED, "", "## Limits", ""]
    lines += [f"- {item}" for item in LIMITS]
    lines += ["", "## Tests that were run", ""]
    lines += format_gates(gates, audit)
    lines += ["", "## Not tested", ""]
    lines += [f"- {item}" for item in list_untested(audit, manifest, schema)]
    lines += ["", "## Provenance", ""]
    seeds = manifest.get("seeds") or {}
    facts = {
        "seeds": ", ".join(f"{k} {v}" for k, v in {**seeds, "audit": audit.get("seed")}.items()),
        "commit": manifest.get("git_revision"),
        "created": manifest.get("created"),
        "withheld": "the list of records nearest to synthetic rows, an oracle for reconstruction, "
        "and hashes of the real tables, which tell who is in them",
    }
    lines += [f"- {name}: {fact}" for name, fact in facts.items()]
    lines += [f"- sha256 of {name}: {digest}" for name, digest in file_hashes.items()]
    return "\n".join(lines) + "\n"
