"""What the audit of a table without differential privacy means to three kinds of reader."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.report.formats import by_auc, number, p_value, percent, spaced
from synthdiff.eval.report.markup import Html, join, tag

KEEP = "Keep the table as you keep the real data."
CLINICIANS = {
    "NO LEAK DETECTED": "Attackers who had this table and whole records of patients could not tell "
    "who was learnt from. Others may know more or try harder, and nothing was promised to the "
    "patients beyond that.",
    "LEAK DETECTED": "Somebody who has this table can tell, better than by chance, whether a "
    f"patient was learnt from, or what is true of one. {KEEP}",
    "INCONCLUSIVE": f"Whether this table gives patients away could not be decided. {KEEP}",
    "INVALID": f"The test of privacy failed its own checks, so nothing is known. {KEEP}",
}
OPEN = {"INVALID": "cannot be read", "FAIL": "refuse", "INCONCLUSIVE": "could not decide",
        "CAUTION": "want a person to answer for them"}  # fmt: skip


def describe_audit(audit: Mapping) -> dict[str, str]:
    """A few sentences for each kind of reader: clinicians, privacy officers, researchers."""
    gates = audit.get("gates") or []
    clinicians = CLINICIANS.get(str(audit.get("verdict")), CLINICIANS["INVALID"])
    if audit.get("verdict") == "NO LEAK DETECTED" and any(g["status"] != "PASS" for g in gates):
        clinicians += f" Not every check for a release is passed. {KEEP}"
    return {
        "For clinicians": clinicians,
        "For privacy officers": _tell_officers(gates),
        "For researchers": _tell_researchers(audit),
    }


def _tell_officers(gates: list[Mapping]) -> str:
    """Which gates stand in the way of a release, the worst first."""
    if not gates:
        return "No gates of a release were judged, so release.py refuses."
    passed = sum(gate["status"] == "PASS" for gate in gates)
    words = [f"{passed} of {len(gates)} gates pass."]
    for status, what in OPEN.items():
        if names := [gate["name"] for gate in gates if gate["status"] == status]:
            words.append(f"{status}, {what}: {', '.join(names)}.")
    words.append(
        "Nothing bounds the risk from above, as there is no differential privacy: what was not "
        "tested, below, is part of the evidence."
    )
    return " ".join(words)


def _tell_researchers(audit: Mapping) -> str:
    """The strongest attack, its null control and what the audit could have found."""
    attacks = by_auc(audit.get("attacks") or {})
    if not attacks:
        return "No attack on membership was made."
    name, best = attacks[0]
    words = [
        f"{audit.get('members') or 0:,} members against {audit.get('nonmembers') or 0:,} others. "
        f"The strongest attack, {spaced(name)}, has AUC {number(best.get('auc'))} and finds "
        f"{percent(best.get('tpr_at_1pct_fpr'))} of the members at 1% false alarms (adjusted "
        f"p = {p_value(best.get('p_value_holm', best.get('p_value')))})."
    ]
    if null := (audit.get("controls") or {}).get("null"):
        words.append(f"On fresh real rows the attack that strays most has {number(null['auc'])}.")
    if (least := audit.get("minimum_detectable_tpr")) is not None:
        words.append(f"A leak of {percent(least)} of the members would be found 4 times in 5.")
    return " ".join(words)


def write_readers(audit: Mapping) -> Html:
    """The three paragraphs."""
    words = describe_audit(audit).items()
    return join(tag("p", tag("strong", f"{who}. "), text) for who, text in words)
