"""The summary at the head of the page: one tile per headline result."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from synthdiff.eval.report.formats import (
    METRICS,
    NOT_RUN,
    Result,
    by_auc,
    ends,
    number,
    percent,
    point,
    spaced,
    why_absent,
)
from synthdiff.eval.report.markup import Html, tag

VERDICTS = {
    "NO LEAK DETECTED": "good",
    "LEAK DETECTED": "bad",
    "INCONCLUSIVE": "warn",
    "INVALID": "warn",
}
MEANINGS = {
    "NO LEAK DETECTED": "No attack could reliably tell training {unit}s from others. "
    "This is not proof that no attack can.",
    "LEAK DETECTED": "Training {unit}s can be told from others: treat this table as you would "
    "treat the real one.",
    "INCONCLUSIVE": "The audit could not decide, so it says nothing for release. "
    "The reasons are in the privacy section.",
    "INVALID": "A control of the audit failed, so its numbers cannot be trusted. "
    "The reasons are in the privacy section.",
}

QUESTIONS = {
    "Fidelity rate": "Does it look like the real table?",
    "Utility gap": "Can it train a model for real patients?",
    "Detection AUC": "Can synthetic rows be told from real ones?",
    "Privacy": "Can training patients be recognised?",
}


def _gauge(estimate: object, reference: object, label: str, top: float = 1) -> Html:
    """A line up to `top`: a dot with its interval for the estimate, a tick to compare it with.

    It starts at 0.4 `top` (just below a coin toss) unless something lies lower.
    """
    value, tick = point(estimate), point(reference)
    if value is None:
        return Html("")
    sides = [estimate[key] for key in ("lower", "upper")] if isinstance(estimate, Mapping) else []
    low = 0.4 * top
    if min(value, *sides, *([] if tick is None else [tick])) < low:
        low = 0.0

    def at(number: float) -> str:
        return f"{8 + 384 * min(max((number - low) / (top - low), 0), 1):.1f}"

    marks = [
        '<path d="M8 22H392" stroke="#c4c4c4" stroke-width="3"/>',
        f'<text x="2" y="41">{low:g}</text><text x="398" y="41" text-anchor="end">{top:g}</text>',
    ]
    if tick is not None:
        share = (tick - low) / (top - low)
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        marks += [
            f'<path d="M{at(tick)} 13V29" stroke="#0072B2" stroke-width="2.5"/>',
            f'<text x="{at(tick)}" y="10" text-anchor="{anchor}">{escape(label)}</text>',
        ]
    if sides:
        marks.append(
            f'<path d="M{at(sides[0])} 22H{at(sides[1])}" stroke="#D55E00" stroke-width="7"/>'
        )
    marks.append(f'<circle cx="{at(value)}" cy="22" r="5" fill="#D55E00" stroke="#fff"/>')
    drawing = "".join(marks)
    return Html(f'<svg class="gauge" viewBox="0 0 400 42" aria-hidden="true">{drawing}</svg>')


def _tile(
    title: str, value: str, beside: str, gauge: str, direction: str, sentence: str, tone: str = ""
) -> Html:
    paragraphs = [
        tag("p", text, class_=name) for text, name in ((value, "value"), (beside, "beside")) if text
    ]
    ends = [
        tag("p", text, class_=name)
        for text, name in ((sentence, "plain"), (direction, "direction"))
    ]
    return tag("article", _head(title), *paragraphs, gauge, *ends, class_=f"tile {tone}".strip())


def _head(title: str) -> Html:
    return tag("h2", tag("b", QUESTIONS[title]), title)


def _absent_tile(title: str, reason: str) -> Html:
    return tag("article", _head(title), tag("p", reason), class_="tile")


def _fidelity_tile(fidelity: Mapping) -> Html:
    rate, floor = point(fidelity.get("rate")), point((fidelity.get("floor") or {}).get("rate"))
    if rate is None:
        return _absent_tile("Fidelity", why_absent(fidelity.get("rate")) or NOT_RUN)
    if floor is None:
        sentence = (
            f"The synthetic table's columns and pairs of columns agree to {number(rate, 1)}%."
        )
    elif rate < floor:
        sentence = (
            "Columns and pairs of columns agree with the real ones "
            f"{number(floor - rate, 1)} points less than a second real sample does."
        )
    else:
        sentence = "Columns and pairs of columns agree as well as those of a second real sample."
    direction = f"Higher is better; the floor, two real samples, is {number(floor, 1)}%."
    gauge = _gauge(rate, floor, "floor", 100)
    beside = f"floor {number(floor, 1)}%"
    return _tile("Fidelity rate", f"{number(rate, 1)}%", beside, gauge, direction, sentence)


def _utility_tile(utility: Mapping) -> Html:
    mean = utility.get("mean") or {}
    gaps = mean.get("gap_points") or {}
    key = next((key for key in METRICS if point(gaps.get(key)) is not None), None)
    if key is None:
        return _absent_tile("Utility gap", why_absent(mean) or NOT_RUN)
    real, synthetic = ((mean.get(source) or {}).get(key) for source in ("trtr", "tstr"))
    sentence = (
        f"Models that predict {utility.get('target')} reach {METRICS[key]} {number(synthetic)} "
        f"when trained on synthetic rows and {number(real)} when trained on real rows."
    )
    direction = "Lower is better; 0 means that synthetic rows train as good a model as real rows."
    value = f"{number(gaps[key], 1)} points"
    beside = f"{METRICS[key]}: real {number(real)}, synthetic {number(synthetic)}"
    gauge = _gauge(synthetic, real, "real") if point(synthetic) is not None else ""
    return _tile("Utility gap", value, beside, gauge, direction, sentence)


def _detection_tile(detection: Mapping) -> Html:
    auc, floor = detection.get("auc"), detection.get("floor")
    if point(auc) is None:
        return _absent_tile("Detection AUC", why_absent(auc) or NOT_RUN)
    sentence = (
        "Shown one real and one synthetic row, a classifier picks out the synthetic one "
        f"{number(point(auc), 0, 100)} times in 100."
    )
    direction = (
        f"Lower is better; the floor, two real samples, is {number(point(floor))}; 1 is worst."
    )
    beside = ", ".join(filter(None, (ends(auc), f"floor {number(point(floor))}")))
    gauge = _gauge(auc, floor, "floor")
    return _tile("Detection AUC", number(point(auc)), beside, gauge, direction, sentence)


def _privacy_tile(audit: Mapping) -> Html:
    verdict = str(audit.get("verdict", "No verdict"))
    meaning = MEANINGS.get(verdict, "").format(unit=audit.get("unit", "row"))
    tone = VERDICTS.get(verdict, "warn")
    whole = (audit.get("whole_patients") or {}).get("attacks") or {}
    every = (audit.get("attacks") or {}) | {f"{n} on whole patients": a for n, a in whole.items()}
    attacks = [(n, a) for n, a in by_auc(every) if not why_absent(a)]
    if not attacks or point(attacks[0][1].get("auc")) is None:
        return _tile("Privacy", verdict, "no attack gave a result", "", "", meaning, tone)
    name, strongest = attacks[0]
    beside = f"AUC {number(point(strongest['auc']))}, {ends(strongest['auc'])}, chance 0.5"
    found = max((point(attack.get("tpr_at_1pct_fpr")) or 0.0 for _, attack in attacks))
    meaning += f" The best finds {percent(found)} of members at 1% false alarms (chance 1%)."
    strongest_name = f"Strongest of {len(attacks)} attacks: {spaced(name)}."
    direction = f"Lower AUC is better; chance is 0.5. {strongest_name}"
    gauge = _gauge(strongest["auc"], 0.5, "chance")
    return _tile("Privacy", verdict, beside, gauge, direction, meaning, tone)


def draw_tiles(evaluation: Result, audit: Result) -> Html:
    """The four headline results, each beside what it must be compared with."""
    results: Result = evaluation or {}
    why = why_absent(evaluation)
    tiles = []
    for title, draw, result in (
        ("Fidelity rate", _fidelity_tile, results.get("fidelity")),
        ("Utility gap", _utility_tile, results.get("utility")),
        ("Detection AUC", _detection_tile, results.get("detection")),
        ("Privacy", _privacy_tile, audit),
    ):
        reason = why_absent(result) or (why if result is not audit else None)
        tiles.append(_absent_tile(title, reason) if reason else draw(result))
    return tag("section", *tiles, class_="tiles", aria_label="Summary")
