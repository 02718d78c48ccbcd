"""The visits section: how one visit of a patient follows another."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval import group_plots, plots
from synthdiff.eval.report.formats import Result, find_part, number, percent, why_absent
from synthdiff.eval.report.marginals import write_key
from synthdiff.eval.report.markup import Html, image, join, remark, section, table, tag

MAX_ROWS = 25
CHECKS = {
    "visits": "Visits per patient",
    "gaps": "Gaps between visits",
    "lag": "from visit to visit",
    "by_visit": "at each visit",
    "constancy": "not constant within patients",
}
MARGINALS = {"visits": "Visits per patient", "gap": "Gap to the visit before"}
KINDS = {
    "autocorrelation": "rank correlation",
    "transition": "share unchanged",
    "recurrence": "share of codes that recur",
}


def write_visits(evaluation: Result) -> Html:
    """What is flagged, how many visits and when, what follows what, and whole patients."""
    temporal, reason = find_part(evaluation, "temporal")
    title = "Visits: does a patient's next visit follow from the last?"
    if reason:
        return section("Visits", title, remark(reason))
    mean = temporal["mean_visits"]
    intro = (
        f"{temporal['patients']['synthetic']:,} synthetic patients with "
        f"{number(mean['synthetic'], 2)} visits each (training {number(mean['train'], 2)}, test "
        f"{number(mean['test'], 2)}). A check is flagged beyond its limit, which about one second "
        "real sample in 21 exceeds in any check."
    )
    parts = (
        *(_write_flags(temporal["flags"]), tag("p", intro), _draw(temporal)),
        *(_write_distances(temporal["distances"]), _write_constancy(temporal["constancy"])),
        _write_detection(temporal["detection"]),
    )
    return section("Visits", title, *parts)


def _name(check: str) -> str:
    """A check for people: "lag mdvis" to "mdvis, from visit to visit"."""
    kind, _, column = check.partition(" ")
    label = CHECKS.get(kind, "whole patients can be told apart")
    return f"{column}, {label}" if column else label


def _write_flags(flags: list[str]) -> Html:
    if not flags:
        return remark("No check of the visits is flagged.", tone="good")
    shown = [tag("li", _name(flag)) for flag in flags[:MAX_ROWS]]
    if len(flags) > MAX_ROWS:
        shown.append(tag("li", f"and {len(flags) - MAX_ROWS} more"))
    return tag("div", tag("strong", "Flagged:"), tag("ul", *shown), class_="note warn")


def _draw(temporal: Mapping) -> Html:
    figures = []
    for name, label in MARGINALS.items():
        marginal = temporal["marginals"][name]
        name = tag("b", label)
        if why_absent(marginal):
            figures.append(tag("figure", tag("figcaption", name, why_absent(marginal))))
            continue
        alt = f"{label}: real training and test patients against synthetic patients."
        figures.append(image(plots.plot_marginal(marginal), alt, name))
    drawn = [write_key(), tag("div", *figures, class_="grid pair")]
    columns = temporal["columns"]
    if why_absent(columns):
        return join((*drawn, remark(why_absent(columns))))
    shown = dict(sorted(columns.items(), key=lambda item: -_change(item[1]))[:MAX_ROWS])
    caption = (
        "How much a visit resembles the one before, in real (blue) and synthetic (orange) "
        f"patients; {len(shown)} of {len(columns)} columns, largest difference first. Numbers: "
        "rank correlation; categories: share unchanged; code sets: share of codes that recur."
    )
    alt = "Persistence of each column between visits, real against synthetic; values in the table."
    source = group_plots.plot_persistence(shown)
    rows = [
        (name, KINDS[c["kind"]], *(number(c[part]) for part in ("synthetic", "train", "test")))
        for name, c in shown.items()
    ]
    header = ("Column", "Measure", "Synthetic", "Training", "Test")
    listed = table("The same in numbers.", header, rows, text=2, compact=True)
    return join((*drawn, image(source, alt, caption), listed))


def _change(column: Mapping) -> float:
    return abs(column["synthetic"] - column["train"])


def _write_distances(distances: Mapping) -> Html:
    order = sorted(distances, key=lambda name: -_excess(distances[name]))
    rows = []
    for name in order[:MAX_ROWS]:
        check = distances[name]
        cells = [why_absent(check)]
        if not cells[0]:
            cells = [number(check[key]) for key in ("synthetic", "floor", "limit")]
        rows.append((_name(name) if name != "columns" else "Columns", *cells))
    caption = (
        "Distances to the training patients, worst beside its limit first; 0 is equal. From visit "
        "to visit: of transition matrices (total variation) or of the persistence above. At each "
        "visit: of shares of levels, or of mean ranks, averaged over visits. Floor: test patients. "
        f"{len(rows)} of {len(distances)} checks."
    )
    return table(caption, ("Check", "Synthetic", "Floor", "Limit"), rows)


def _excess(check: Mapping) -> float:
    return -1.0 if why_absent(check) else check["synthetic"] / max(check["limit"], 1e-9)


def _write_constancy(constancy: Mapping) -> Html:
    if why_absent(constancy):
        return remark(f"Constancy within patients. {why_absent(constancy)}.")
    if not constancy:
        return tag("p", "No column is constant within real patients.")
    worst = sorted(constancy, key=lambda name: constancy[name]["synthetic"])[:MAX_ROWS]
    rows = [
        (name, *(percent(constancy[name][part]) for part in ("synthetic", "train", "test")))
        for name in worst
    ]
    caption = (
        "Share of patients with two visits in whom a column that real patients never change is "
        "constant, or advances with time as an age does; lowest first."
    )
    return table(caption, ("Column", "Synthetic", "Training", "Test"), rows)


def _write_detection(detection: Mapping) -> Html:
    if why_absent(detection):
        return remark(f"Detection of whole patients. {why_absent(detection)}.")
    caption = (
        f"How well a classifier ({detection['model']}) tells whole patients, with up to "
        f"{detection['visits']} visits, from real test patients. Lower is better: 0.5 cannot be "
        "told apart."
    )
    rows = [
        ("Synthetic patients", number(detection["auc"])),
        ("Floor (real training patients)", number(detection["floor"])),
    ]
    return table(caption, ("", "AUC (95% interval)"), rows)
