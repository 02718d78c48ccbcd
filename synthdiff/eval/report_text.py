"""The report's HTML blocks and summary tiles: every string that comes from data is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite

NOT_RUN = "Not run."
DASH = "–"

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
METRICS = {"auroc": "AUROC", "accuracy": "Accuracy", "r2": "R²", "rmse": "RMSE"}

CSS = """
:root { --ink: #1a1a1a; --soft: #505050; --line: #d4d4d4; --wash: #f6f7f8;
  --good: #00664b; --warn: #8a5a00; --bad: #a34700; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-top: .8rem;
  border-top: 2px solid var(--ink); break-after: avoid; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; break-after: avoid; }
p, ul { margin: .5rem 0 .8rem; max-width: 44rem; }
ul { padding-left: 1.2rem; } li { margin: .25rem 0; }
a { color: #00568a; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 2rem; margin: 0; padding: 0; }
.facts div { display: flex; gap: .45rem; max-width: 100%; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
nav { margin: 2rem 0 0; font-size: .9rem; } nav a { margin-right: 1.1rem; }
.tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1rem; margin: 1.8rem 0 0; }
.tile { border: 1px solid var(--line); border-top: 5px solid var(--soft); border-radius: 4px;
  padding: .9rem 1.1rem 1rem; break-inside: avoid; }
.tile.good { border-top-color: var(--good); } .tile.bad { border-top-color: var(--bad); }
.tile.warn { border-top-color: var(--warn); }
.tile h2 { margin: 0; padding: 0; border: 0; font-size: .95rem; color: var(--soft); font-weight: 600; }
.tile p { margin: .3rem 0 0; font-size: .92rem; }
.tile .value { font-size: 1.75rem; line-height: 1.25; font-weight: 700; margin: .15rem 0 0;
  font-variant-numeric: tabular-nums; }
.tile.good .value { color: var(--good); } .tile.bad .value { color: var(--bad); }
.tile.warn .value { color: var(--warn); }
.tile .beside { color: var(--ink); font-variant-numeric: tabular-nums; }
.tile .direction { color: var(--soft); }
.gauge { display: block; width: 100%; margin: .5rem 0 .2rem; }
.gauge text { font-size: 11px; fill: #505050; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: 0 0 .5rem; max-width: 44rem; }
th, td { padding: .36rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; }
th:first-child, td:first-child { padding-left: .2rem; }
thead th { white-space: normal; border-bottom: 1.5px solid var(--ink); vertical-align: bottom; line-height: 1.3; }
tbody th { text-align: left; font-weight: 600; overflow-wrap: anywhere; min-width: 9rem; }
tbody th, td.text, td.why { white-space: normal; }
th.text, td.text { text-align: left; } td.text { overflow-wrap: anywhere; }
td.why { text-align: left; color: var(--warn); }
.compact :is(th, td) { padding-block: .16rem; }
tr { break-inside: avoid; }
figure { margin: 1rem 0 1.4rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 44rem; margin-top: .4rem; }
.grid { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1.2rem 1.1rem; }
.grid figure { margin: 0; display: flex; flex-direction: column; }
.grid figcaption { order: -1; margin: 0 0 .1rem; font-size: .84rem; line-height: 1.35; }
.grid figcaption b { display: block; color: var(--ink); overflow-wrap: anywhere; }
.grid img { width: 100%; margin-top: auto; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; padding: 0; list-style: none;
  font-size: .9rem; }
.key svg { width: 44px; height: 12px; margin-right: .4rem; }
.note { background: var(--wash); border-left: 4px solid var(--soft); padding: .6rem 1rem; }
.note.bad { border-left-color: var(--bad); } .note.good { border-left-color: var(--good); }
.note.warn { border-left-color: var(--warn); }
@media (max-width: 46rem) { .tiles { grid-template-columns: 1fr; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { body { font-size: 10pt; } main { max-width: none; padding: 0; }
  nav { display: none; } .scroll { overflow: visible; } h2 { margin-top: 1.6rem; } }
"""


class Html(str):
    """Text that is HTML already; every other value is escaped by `safe`."""

    __slots__ = ()


def safe(value: object) -> Html:
    """The value as HTML: escaped unless it is Html."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """`<name attribute="...">children</name>`; write `class_` for class."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """The parts as HTML, one after the other."""
    return Html("".join(map(safe, parts)))


def why_absent(metric: object) -> str | None:
    """Why there is nothing to show, or None where there is something."""
    if metric is None or metric == {} or metric == []:
        return NOT_RUN
    if isinstance(metric, Mapping) and "skipped" in metric:
        return f"Skipped: {metric['skipped']}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)


def number(value: object, digits: int = 3, scale: float = 1, sign: bool = False) -> str:
    """A number, or an interval as "0.512 (0.490 to 0.534)"; a dash where there is none."""
    if isinstance(value, Mapping):
        if why_absent(value):
            return why_absent(value)
        ends = [number(value.get(key), digits, scale, sign) for key in ("lower", "upper")]
        return f"{number(value.get('value'), digits, scale, sign)} ({ends[0]} to {ends[1]})"
    if not _is_number(value):
        return DASH
    text = f"{scale * value:{'+' if sign else ''}.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def percent(value: object, digits: int = 1) -> str:
    """A share in 0..1, or an interval of one, in percent."""
    if isinstance(value, Mapping) and not why_absent(value):
        ends = [number(value.get(key), digits, 100) for key in ("lower", "upper")]
        return f"{percent(value.get('value'), digits)} ({ends[0]} to {ends[1]})"
    text = number(value, digits, 100)
    return f"{text}%" if _is_number(value) else text


def ends(estimate: object, digits: int = 3) -> str:
    """The interval alone: "95% interval 0.490 to 0.534"; empty for a plain number."""
    if not isinstance(estimate, Mapping):
        return ""
    lower, upper = (number(estimate.get(key), digits) for key in ("lower", "upper"))
    return f"{number(estimate.get('confidence'), 0, 100)}% interval {lower} to {upper}"


def spaced(name: object) -> str:
    """A name of ours, such as an attack's, for people: "random_forest" to "random forest"."""
    return str(name).replace("_", " ")


def p_value(value: object) -> str:
    """A p-value as people print it: three decimals, "< 0.001" below that."""
    return "< 0.001" if _is_number(value) and value < 0.001 else number(value)


def point(value: object) -> float | None:
    """The finite estimate within a number or an interval; None where there is none."""
    value = value.get("value") if isinstance(value, Mapping) else value
    return float(value) if _is_number(value) else None


def _align(left: bool) -> dict:
    return {"class_": "text"} if left else {}


def table(
    caption: object,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    text: int = 1,
    compact: bool = False,
) -> Html:
    """A table whose first cells are row headings and whose first `text` columns align left.

    A row shorter than the header ends in a reason, which spans what is left of the row.
    """
    heads = [tag("th", cell, scope="col", **_align(at < text)) for at, cell in enumerate(header)]
    body = []
    for first, *cells in rows:
        short = len(cells) + 1 < len(header)
        *cells, last = cells
        tds = [tag("td", cell, **_align(at < text)) for at, cell in enumerate(cells, 1)]
        if short:
            tds.append(tag("td", last, class_="why", colspan=len(header) - len(cells) - 1))
        else:
            tds.append(tag("td", last, **_align(len(header) <= text)))
        body.append(tag("tr", tag("th", first, scope="row"), *tds))
    parts = (tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body))
    return tag("div", tag("table", *parts), class_="scroll compact" if compact else "scroll")


def image(source: str, alt: str, caption: object) -> Html:
    """A figure with its caption. source: a data URI."""
    return tag(
        "figure",
        Html(f'<img src="{escape(source)}" alt="{escape(alt)}">'),
        tag("figcaption", caption),
    )


def flatten(value: object, prefix: str = "", width: int = 300) -> list[tuple[str, str]]:
    """Nested settings as ("a.b", "text") rows; long values are cut and say so."""
    if isinstance(value, Mapping) and value:
        return [
            row
            for key, item in value.items()
            for row in flatten(item, f"{prefix}.{key}" if prefix else str(key), width)
        ]
    if value is None:
        return [(prefix, "none")]
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if len(text) > width:
        text = f"{text[:width]}… ({len(text):,} characters)"
    return [(prefix, text)]


def by_auc(results: Mapping) -> list[tuple[str, object]]:
    """Attacks with the highest AUC first; those without one last."""

    def strength(item: tuple[str, object]) -> float:
        value = None if why_absent(item[1]) else point(item[1].get("auc"))
        return -2.0 if value is None else value

    return sorted(results.items(), key=strength, reverse=True)


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
        f'<text x="2" y="40">{low:g}</text><text x="398" y="40" text-anchor="end">{top:g}</text>',
    ]
    if tick is not None:
        share = (tick - low) / (top - low)
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        marks += [
            f'<path d="M{at(tick)} 13V31" stroke="#0072B2" stroke-width="2.5"/>',
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
    return tag(
        "article", tag("h2", title), *paragraphs, gauge, *ends, class_=f"tile {tone}".strip()
    )


def _absent_tile(title: str, reason: str) -> Html:
    return tag("article", tag("h2", title), tag("p", reason), class_="tile")


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
    attacks = [(n, a) for n, a in by_auc(audit.get("attacks") or {}) if not why_absent(a)]
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


def draw_tiles(evaluation: Mapping | None, audit: Mapping | None) -> Html:
    """The four headline results, each beside what it must be compared with."""
    results = evaluation or {}
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


def page(title: str, body: Iterable[object]) -> Html:
    """The whole document, with its style sheet inside."""
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
    )
    return Html(f"{head}{tag('main', *body)}</body></html>\n")
