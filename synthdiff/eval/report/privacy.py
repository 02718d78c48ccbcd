"""The privacy section: the verdict, the attacks, the controls and the copies."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.data.schema import Schema
from synthdiff.eval import plots
from synthdiff.eval.report.disclosure import write_disclosure, write_risks, write_strata
from synthdiff.eval.report.formats import (
    Result,
    by_auc,
    number,
    p_value,
    percent,
    point,
    spaced,
    why_absent,
)
from synthdiff.eval.report.markup import Html, image, join, remark, section, table, tag
from synthdiff.eval.report.readers import write_readers
from synthdiff.eval.report.threats import write_threats, write_untested
from synthdiff.eval.report.tiles import VERDICTS

CONTROLS = {
    "null": "chance: fresh real rows stand in for the synthetic table, so there is nothing to find",
    "leak": "well above chance: member records were copied in on purpose",
    "leak_small": "as above with fewer members: how small a leak is still found; not required",
    "blind": "chance: the attacker sees no synthetic row, so a signal means a biased split",
}


def _attack_row(name: object, attack: Result, *middle: object) -> tuple:
    if why_absent(attack):
        return name, *middle, why_absent(attack)
    strict = attack.get("tpr_at_0.1pct_fpr")
    cells = (
        number(attack.get("auc")),
        percent(attack.get("tpr_at_1pct_fpr")),
        "too few" if why_absent(strict) else percent(strict),
    )
    adjusted = [attack[key] for key in ("p_value_holm", "p_value_adjusted") if key in attack]
    return name, *middle, *cells, p_value(adjusted[0] if adjusted else attack.get("p_value"))


def write_privacy(audit: Result, manifest: Mapping, schema: Schema) -> Html:
    """The verdict with its reasons, then who was thought to attack, then the evidence."""
    title = "Privacy: can an attacker tell who was in the training data?"
    if why_absent(audit):
        return section("Privacy", title, remark(why_absent(audit)))
    unit = audit.get("unit", "row")
    sizes = [
        f"{audit[key]:,} {label}"
        for key, label in (
            ("members", f"members ({unit}s in training)"),
            ("nonmembers", f"non-members (held-out {unit}s)"),
            ("reference_rows", "reference rows that the attacker holds"),
            ("synthetic_rows", "synthetic rows"),
        )
        if audit.get(key) is not None
    ]
    reasons = tag("ul", *(tag("li", reason) for reason in audit.get("reasons") or ()))
    verdict = audit.get("verdict", "no verdict")
    note = remark("Verdict: ", tag("strong", verdict), tone=VERDICTS.get(verdict, "warn"))
    bare = not manifest.get("differential_privacy")  # else the guarantee has words for each
    sensitivity = ""
    if point(audit.get("minimum_detectable_tpr")) is not None:
        sensitivity = tag(
            "p",
            "A leak would probably be found if it exposed at least "
            f"{percent(audit['minimum_detectable_tpr'])} of the members; a smaller one could be "
            "missed by an audit of this size.",
        )
    parts = (
        *(
            note,
            write_readers(audit) if bare else "",
            reasons,
            tag("p", f"The test: {'; '.join(sizes)}."),
            sensitivity,
        ),
        *(write_threats(audit), _write_attacks(audit), _write_whitebox(audit)),
        *(_write_controls(audit), _write_roc(audit), _write_copies(audit.get("copies"))),
        *(_write_whole_patients(audit), write_disclosure(audit)),
        write_untested(audit, manifest, schema),
    )
    return section("Privacy", title, *parts)


def _write_attacks(audit: Mapping) -> Html:
    controls = [(audit.get("controls") or {}).get(name) or {} for name in ("null", "leak")]
    answers = [control.get("auc_by_attack") or {} for control in controls]
    share = percent(controls[1].get("planted_share"))
    caption = (
        "Lower is better. AUC: chance that a member outscores a non-member; 0.5 is a coin toss. "
        "TPR at 1% FPR: share of members found when 1% of non-members are wrongly named; 1% is "
        "chance. At 0.1%: likewise, from 1,000 non-members on. Ranges are 95% intervals; p is "
        "adjusted for the number of tests (Holm). The AUC of distance and neighbourhood counts "
        "only what exceeds the same score against real rows. Beside each attack stand its AUC "
        "where there is nothing to find, fresh real rows in the place of the synthetic table, and "
        f"where records of {share} of the members were copied in: one that found just these would "
        "have half of that above 0.5."
    )
    header = ("Attack", "AUC", "TPR at 1% FPR", "at 0.1%", "Adjusted p", "AUC, nothing to find",
              "AUC, planted leak")  # fmt: skip
    rows = [
        (*_attack_row(spaced(name), attack), *(number(known.get(name)) for known in answers))
        for name, attack in by_auc(audit.get("attacks") or {})
    ]
    return join((tag("h3", "Attacks, strongest first"), table(caption, header, rows)))


def _write_whitebox(audit: Mapping) -> Html:
    block = audit.get("whitebox")
    if not block:
        return Html("")
    checks = block.get("shadow_auc") or {}
    caption = (
        "By someone who holds the model itself, not only the table; same members, non-members and "
        f"adjustment. Calibrated by {block.get('shadow_models')} shadow models, each trained on a "
        f"random half of {block.get('shadow_patients'):,} other {audit.get('unit', 'row')}s. Last "
        "column: AUC on those models' own members, whom they remember; it shows that the attack "
        "works."
    )
    header = ("Attack", "AUC", "TPR at 1% FPR", "at 0.1%", "Adjusted p", "AUC on shadow models")
    rows = [
        (*_attack_row(spaced(name), attack), number(checks.get(name)))
        for name, attack in by_auc(block.get("attacks") or {})
    ]
    verdict = tag("p", "If the model is handed out: ", tag("strong", block.get("verdict")))
    reasons = tag("ul", *(tag("li", reason) for reason in block.get("reasons") or ()))
    title = tag("h3", "Attacks on the model, strongest first")
    strata = write_strata(block.get("strata"), "Attacks on the model, on vulnerable patients only")
    return join((title, verdict, reasons, table(caption, header, rows), strata))


def _write_whole_patients(audit: Mapping) -> Html:
    """The audit of trajectories, where rows are visits."""
    block = audit.get("whole_patients")
    if not block:
        return Html("")
    head = tag("h3", "Whole patients: can trajectories tell who was in the training data?")
    if why_absent(block):
        return join((head, remark(why_absent(block))))
    about = (
        f"The same members and non-members, each patient's visits as one record of "
        f"{block['columns']:,} columns. The adjustment (Holm) counts these attacks and those on "
        "rows together, and the verdict above is the worse of both."
    )
    verdict = tag("p", "By trajectories: ", tag("strong", block["verdict"]))
    reasons = tag("ul", *(tag("li", reason) for reason in block["reasons"]))
    tables = (_write_attacks(block), _write_controls(block), _write_copies(block["copies"]))
    risks = (write_risks(block["disclosure"]), write_strata(block["strata"]))
    end = tag("p", "Here ends the audit of whole patients; what follows is of rows again.")
    return join((head, tag("p", about), verdict, reasons, *tables, *risks, end))


def _write_controls(audit: Mapping) -> Html:
    controls = audit.get("controls") or {}
    rows = []
    for name in [*CONTROLS, *(name for name in controls if name not in CONTROLS)]:
        control, expected = controls.get(name), CONTROLS.get(name, "")
        share = (control or {}).get("planted_share")
        if share is not None:
            expected += f" ({percent(share)} of the members)"
        rows.append(_attack_row(spaced(name), control, expected))
    caption = (
        "The audit tested on cases with a known answer. Null or blind off chance makes it invalid; "
        "a leak that goes unseen makes it inconclusive. Shown is the attack that strays furthest "
        "from chance (null) or is surest (leaks). AUC ranges are 99% for blind and, all attacks "
        "at once, for null, else 95%; p of the planted leaks is adjusted."
    )
    header = ("Control", "What it should show", "AUC", "TPR at 1% FPR", "at 0.1%", "p")
    return join((tag("h3", "Controls"), table(caption, header, rows, text=2)))


def _write_roc(audit: Mapping) -> Html:
    def with_curve(results: Mapping) -> dict:
        curves = {spaced(name): (result or {}).get("roc") for name, result in by_auc(results)}
        return {name: roc for name, roc in curves.items() if roc and roc.get("fpr")}

    head = tag("h3", "Operating curves")
    attacks, controls = (
        with_curve(audit.get("attacks") or {}),
        with_curve(audit.get("controls") or {}),
    )
    if not attacks and not controls:
        return join((head, remark("Skipped: no attack gave a curve.")))
    sizes = {key: audit.get(key) or 1000 for key in ("members", "nonmembers")}
    caption = (
        "Members found against non-members wrongly named, both axes logarithmic: the left end is "
        "where an attacker is sure of a few. A curve along the grey band is no better than chance."
    )
    alt = "ROC curves of the attacks and controls on log-log axes with the chance line."
    return join((head, image(plots.plot_roc(attacks, controls, **sizes), alt, caption)))


def _write_copies(copies: Result) -> Html:
    head = tag("h3", "Copies")
    if why_absent(copies):
        return join((head, remark(why_absent(copies))))
    closer = "Synthetic rows closer to a training row than to a held-out row (chance: 50%)"
    rows = [
        (
            "Members' training rows that reappear exactly in the synthetic table",
            percent(copies.get("train_share"), 2),
        ),
        (
            "Held-out rows that reappear exactly in the synthetic table",
            percent(copies.get("holdout_share"), 2),
        ),
        (
            "Adjusted p (more copies of training than of held-out rows)",
            p_value(copies.get("p_value_holm", copies.get("p_value"))),
        ),
        (closer, percent(copies.get("closer_to_train_share"))),
    ]
    caption = (
        "Chance alone makes some rows equal, so the held-out share is the yardstick. This finds "
        "plain copying only; the attacks above are the evidence."
    )
    return join((head, table(caption, ("", "Result"), rows)))
