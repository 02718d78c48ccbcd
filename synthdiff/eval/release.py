"""The gate before a synthetic table leaves: policy, then scan, then the folder, or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from synthdiff._files import explain_writing, hash_file, make_folder, write_atomically, write_json
from synthdiff.data.schema import Schema
from synthdiff.data.sdv import to_sdv
from synthdiff.data.table import write_table
from synthdiff.eval.card import write_card
from synthdiff.eval.features import hash_rows
from synthdiff.eval.policy import evaluate_policy, judge_run
from synthdiff.eval.scan import Finding, scan_folder

INTERNAL = ("nearest",)


@dataclass(frozen=True)
class Decision:
    """Whether a table may go out. refusals: every reason against it, in words."""

    gates: list[dict]
    accepted: list[str]
    refusals: list[str]


def decide_release(
    audit: Mapping,
    tables: Mapping[str, pd.DataFrame],
    schema: Schema,
    manifest: Mapping,
    accept: Sequence[str] = (),
    canaries: Mapping | None = None,
) -> Decision:
    """Reads the audit's gates for these very tables, and those of how the model was made.

    canaries: the record of validate_dp.py on the run, for the claim of a private one.
    accept: names of gates at CAUTION that a person takes responsibility for. Nothing else can be
    accepted: INCONCLUSIVE, FAIL and INVALID always refuse.
    """
    refusals = []
    hashes = audit.get("rows_sha256") or {}
    for part, df in tables.items():
        if hashes.get(part) != hash_rows(df, schema):
            refusals.append(f"The audit is of another {part} table: run the audit again.")
    gates = evaluate_policy(audit) + judge_run(manifest, canaries)
    cautions = {gate["name"] for gate in gates if gate["status"] == "CAUTION"}
    for name in accept:
        if name not in cautions:
            refusals.append(f"--accept_caution={name}: no gate of this name is at CAUTION.")
    for gate in gates:
        open_caution = gate["status"] == "CAUTION" and gate["name"] not in accept
        if gate["status"] not in ("PASS", "CAUTION") or open_caution:
            refusals.append(f"{gate['status']}, gate {gate['name']!r}: {gate['reason']}")
    return Decision(gates, [name for name in accept if name in cautions], refusals)


def redact(audit: Mapping) -> dict:
    """The audit without what only the data holder may see.

    Those are distances of single records, and hashes of real tables: who knows all other patients
    tries somebody's rows in the hash and learns for certain whether they are in it.
    """
    shown = {key: value for key, value in audit.items() if key not in INTERNAL}
    return shown | {"rows_sha256": {"synthetic": audit["rows_sha256"]["synthetic"]}}


def write_release(
    folder: Path,
    audit: Mapping,
    tables: Mapping[str, pd.DataFrame],
    schema: Schema,
    manifest: Mapping,
    write_page: Callable[[Path, dict], None],
    accept: Sequence[str] = (),
    canaries: Mapping | None = None,
) -> list[str]:
    """Writes table, card, report and audit into `folder`, or refuses and leaves no folder.

    tables: "train", "test", "reference" and "synthetic". write_page(path, audit) writes the
    report. metadata.json describes the table to SDV and SDMetrics. Everything is written beside
    `folder`, for the owner's eyes only, and scanned; the folder appears whole or not at all, and
    an earlier release is taken back by a refusal.

    Returns:
      The reasons for the refusal; none where the release was written.
    """
    folder = Path(folder)
    staging = folder.with_name(folder.name + ".staging")
    for old in (staging, folder):
        _take_back(old)
    decision = decide_release(audit, tables, schema, manifest, accept, canaries)
    if decision.refusals:
        return decision.refusals
    make_folder(staging, private=True)
    try:
        shown = redact(audit)
        write_table(tables["synthetic"], staging / "synthetic.csv")
        write_json(staging / "metadata.json", to_sdv(schema, tables["synthetic"]))
        write_json(staging / "audit.json", shown)
        write_page(staging / "report.html", shown)
        hashes = {path.name: hash_file(path) for path in sorted(staging.iterdir())}
        card = write_card(decision.gates, decision.accepted, shown, manifest, schema, hashes)
        write_atomically(staging / "card.md", card.encode())
        real = {part: tables[part] for part in ("train", "test", "reference")}
        findings = scan_folder(staging, real, schema)
        if not findings:
            with explain_writing(folder):
                staging.chmod(0o755)
                os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [_describe(finding) for finding in findings]


def _take_back(folder: Path) -> None:
    """Removes a folder: it is there with all its files, or not at all."""
    gone = folder.with_name(folder.name + ".removed")
    with explain_writing(folder):
        if gone.exists():
            shutil.rmtree(gone)
        if folder.exists():
            os.replace(folder, gone)
            shutil.rmtree(gone)


def _describe(finding: Finding) -> str:
    return f"Scan, {finding.kind} in {finding.file}: {finding.what}."
