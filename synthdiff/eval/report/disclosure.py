"""The disclosure block: the three WP29 risks, vulnerable patients, US evidence, and the gates."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.disclosure import list_attacks
from synthdiff.eval.policy import RESIDUAL
from synthdiff.eval.report.formats import Result, number, p_value, percent, spaced, why_absent
from synthdiff.eval.report.markup import Html, join, remark, table, tag

TONES = {"PASS": "good", "FAIL": "bad", "INVALID": "bad"}


def write_disclosure(audit: Mapping) -> Html:
    """Everything below the membership attacks; blocks that were not run say so."""
    return join(
        (
            *(write_risks(audit.get("disclosure")), write_strata(audit.get("strata"))),
            *(_write_us_evidence(audit), _write_nearest(audit.get("nearest"))),
            _write_gates(audit.get("gates")),
        )
    )


def _risk_rows(disclosure: Mapping) -> list[tuple]:
    rows: list[tuple] = []
    for name, record in list_attacks(disclosure).items():
        people = [(spaced(name), record)]
        if "outliers" in record:
            people.append((f"{spaced(name)}, outliers only", record["outliers"]))
        for label, found in people:
            if why_absent(found):
                rows.append((label, why_absent(found)))
                continue
            guessing = percent(found["baseline"]["value"])
            if not found["beats_guessing"]:
                guessing += " (not beaten)"
            rates = (percent(found["attack"]), guessing, percent(found["control"]))
            adjusted = p_value(found["p_value_holm"]) if "p_value_holm" in found else "–"
            rows.append((label, *rates, percent(found["residual"]), adjusted))
    return rows


def write_risks(disclosure: Result) -> Html:
    """The three risks, each attack beside its control."""
    head = tag("h3", "Singling out, linkability and inference (WP29 opinion 05/2014)")
    if why_absent(disclosure):
        return join((head, remark(why_absent(disclosure))))
    caption = (
        "Attack: success on patients of the training data, one record each; in singling out, of "
        "predicates on all of them. Guessing: the same without the synthetic table. Control: the "
        "same attack on patients the generator never saw. Residual: what the attack gains over the "
        "control, of all there is to gain; lower is better, below 0 is chance. Ranges are 95%; p "
        "is adjusted for all attacks (Holm)."
    )
    header = ("Risk", "Attack", "Guessing", "Control", "Residual risk", "Adjusted p")
    return join((head, table(caption, header, _risk_rows(disclosure))))


def write_strata(strata: Result, title: str = "Vulnerable patients") -> Html:
    """The membership attacks on outliers and holders of rare values."""
    head = tag("h3", title)
    if why_absent(strata):
        return join((head, remark(why_absent(strata))))
    rows: list[tuple] = []
    for stratum, result in strata.items():
        if why_absent(result):
            rows.append((stratum, why_absent(result)))
            continue
        sizes = f"{result['members']:,} / {result['nonmembers']:,}"
        for name, attack in result["attacks"].items():
            found = (number(attack["auc"]), percent(attack["tpr_at_1pct_fpr"]))
            rows.append((stratum, spaced(name), sizes, *found, p_value(attack["p_value_holm"])))
    caption = (
        "The membership attacks on those most at risk. Outliers: the 5% whose record lies farthest "
        "from those of others. Rare values: holders of a category or code that fewer than 11 "
        "patients, or 1%, have. Both are chosen without knowing who is a member. Few patients make "
        "wide ranges. p is adjusted for all attacks of the audit."
    )
    header = ("Patients", "Attack", "Members / others", "AUC", "TPR at 1% FPR", "Adjusted p")
    return join((head, table(caption, header, rows, text=2)))


def _write_us_evidence(audit: Mapping) -> Html:
    head = tag("h3", "Evidence for a US expert determination")
    found: Result = audit.get("membership_f1")
    near: Result = (audit.get("copies") or {}).get("near")
    rows: list[tuple] = []
    for name, record in list_attacks(audit.get("disclosure") or {}).items():
        if "singling" in name and not why_absent(record):
            upper = percent((record["residual"] or {}).get("upper"))
            rows.append((f"{name}: residual risk, upper bound", upper, percent(RESIDUAL.bearable)))
    if not why_absent(found):
        share = percent(found["share"])
        rows.append((f"Membership F1 beyond naming everyone ({share} are members), of what is left",
                     percent(found["relative"]), "no settled limit"))  # fmt: skip
    if not why_absent(near):
        for part, label in (("attack", "training"), ("control", "held-out")):
            rows.append((f"Patients with a near copy, {label}", percent(near[part]), "held-out"))
    if not rows:
        return join((head, remark(why_absent(None))))
    caption = (
        "Numbers that an expert may use under 45 CFR 164.514(b)(1); this page determines nothing. "
        "Of all limits only 9% for identity disclosure has precedents; singling out is our nearest "
        "measure of it and not the same, for no population register was matched. The F1 depends on "
        "the share of members among those asked about: of the population that the audit was told, "
        "else of the patients at hand."
    )
    return join((head, table(caption, ("Evidence", "Result", "Compare with"), rows)))


def _write_nearest(nearest: list | None) -> Html:
    if not nearest:
        return Html("")
    caption = (
        "The training rows that a synthetic row comes closest to, as row numbers and distances. "
        "Look them up where the data is kept. Never released: such a list helps an attacker."
    )
    header = ("Training row", "Synthetic row", "Distance", "Distance to the nearest other real row")
    rows = [
        (f"{row['train_row']:,}", f"{row['synthetic_row']:,}", number(row["distance"]),
         number(row["distance_to_reference"]))
        for row in nearest
    ]  # fmt: skip
    return join((tag("h3", "Nearest matches"), table(caption, header, rows, compact=True)))


def _write_gates(gates: list | None) -> Html:
    head = tag("h3", "Gates for a release")
    if not gates:
        return join((head, remark(why_absent(None))))
    rows = [
        (gate["name"], tag("strong", gate["status"], class_=TONES.get(gate["status"], "warn")),
         gate["reason"])
        for gate in gates
    ]  # fmt: skip
    reasons = dict.fromkeys(gate["why"] for gate in gates)
    caption = (
        "Limits bind the upper end of the interval. A table goes out when every gate passes, or "
        "when a person answers by name for those at caution."
    )
    origins = tag("ul", *(tag("li", f"{why[0].upper()}{why[1:]}.") for why in reasons))
    shown = table(caption, ("Gate", "Status", "Reason"), rows, text=3)
    return join((head, shown, tag("p", "Where the limits come from:"), origins))
