"""The first lines of the page: may the table be handed on, and how to read the four results."""

from __future__ import annotations

from synthdiff.eval.report.formats import Result, why_absent
from synthdiff.eval.report.markup import Html, join, remark, tag

REAL = "Keep it as you keep the real data."
SHARING = {
    "NO LEAK DETECTED": ("Not cleared yet.", "No attack told training {unit}s from others, "
                         "but {open} of {count} checks for a release are not passed. " + REAL),
    "LEAK DETECTED": ("Do not hand it on.", "Someone who has this table can tell, better than by "
                      "chance, who was in the training data. " + REAL),
    "INCONCLUSIVE": ("Not cleared.", "The test of privacy was too weak to decide. " + REAL),
    "INVALID": ("Not cleared.", "The test of privacy failed its own checks. " + REAL),
}  # fmt: skip
ABSENT = ("Not cleared.", "Privacy was not tested. " + REAL)
CLEARED = (
    "Passes the checks for a release.",
    "No attack told training {unit}s from others, and each of {count} checks is within its limit. "
    "That lowers the risk and does not exclude it.",
)
BROKEN = (
    "Do not hand it on.",
    "It claims differential privacy, and an attack on invented patients found more than the claim "
    "allows. " + REAL,
)
TERMS = {
    "Floor": "what a second sample of real patients scores. A synthetic table that reaches it is "
    "as close to the real one as real patients are to each other.",
    "AUC": "how often the right one of two is picked. 0.5 is a coin toss, 1 is always.",
    "Point": "one hundredth: a gap of 2 points is 0.82 instead of 0.84.",
}


def write_sharing(audit: Result, *, broken: bool = False) -> Html:
    """Whether the table may be handed on, in a few words. broken: the claim of a private run is."""
    audit = {} if why_absent(audit) else audit
    gates = audit.get("gates") or []
    waiting = sum(gate["status"] != "PASS" for gate in gates)
    head, text = SHARING.get(str(audit.get("verdict")), ABSENT)
    tone = "bad" if audit.get("verdict") == "LEAK DETECTED" else "warn"
    if audit.get("verdict") == "NO LEAK DETECTED" and gates and not waiting:
        (head, text), tone = CLEARED, "good"
    if broken:
        (head, text), tone = BROKEN, "bad"
    text = text.format(unit=audit.get("unit", "row"), open=waiting, count=len(gates))
    return remark(tag("strong", head), f" {text}", tone=f"{tone} sharing")


def write_terms() -> Html:
    """The few terms that the results need."""
    terms = [join((tag("dt", term), tag("dd", text))) for term, text in TERMS.items()]
    return tag("dl", *(tag("div", term) for term in terms), class_="terms")
