"""The fidelity section: columns, pairs of columns, and all columns at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthdiff.data.schema import Schema
from synthdiff.eval import pair_plots, plots
from synthdiff.eval.pairs import rank_pairs
from synthdiff.eval.report.formats import Result, find_part, number, percent, point, why_absent
from synthdiff.eval.report.marginals import write_marginals
from synthdiff.eval.report.markup import Html, image, join, remark, section, table, tag

MAX_PAIR_COLUMNS = 120
DISTANCES = {
    "ks": "numeric (1 − KS)",
    "tvd": "categories (1 − TVD)",
    "codes": "codes (prevalence)",
}


def _shortfall(column: Mapping) -> float:
    """How far a score lies below its floor, in points; skipped columns sort last."""
    score, floor = point(column.get("score")), point(column.get("floor"))
    return -np.inf if score is None else 100 * ((1.0 if floor is None else floor) - score)


def write_fidelity(evaluation: Result, schema: Schema) -> Html:
    """The scores per column and per pair, the distributions and detection, each by its floor."""
    fidelity, reason = find_part(evaluation, "fidelity")
    title = "Fidelity: does the synthetic table look like the real one?"
    if reason:
        return section("Fidelity", title, remark(reason))
    columns = fidelity.get("columns") or {}
    order = sorted(columns, key=lambda name: -_shortfall(columns[name]))
    floor = fidelity.get("floor") or {}
    rates = table(
        "Agreement in percent; higher is better. The rate is the mean of shape and trend.",
        ("", "Synthetic", "Floor (real against real)"),
        [
            (label, _fidelity_score(fidelity.get(key)), _fidelity_score(floor.get(key)))
            for key, label in (
                ("rate", "Rate"),
                ("shape", "Shape (each column)"),
                ("trend", "Trend (pairs of columns)"),
            )
        ],
    )
    shapes = table(
        "Each column's agreement with the training rows, largest shortfall first. "
        "Higher is better; the shortfall is floor minus score, in points (negative: above floor).",
        ("Column", "Measure", "Score", "Floor", "Shortfall"),
        [_shape_row(name, columns[name]) for name in order],
        text=2,
    )
    marginals = write_marginals((evaluation or {}).get("marginals"), columns, order, schema)
    parts = (
        *(rates, tag("h3", "Columns"), shapes),
        *(marginals, tag("h3", "Pairs of columns"), _write_pairs(fidelity.get("pairs"))),
        _draw_pairs(evaluation.get("joint"), schema),
        _write_detection(evaluation.get("detection")),
    )
    return section("Fidelity", title, *parts)


def _fidelity_score(value: object) -> str:
    text = number(value, 1)
    return f"{text}%" if point(value) is not None else text


def _shape_row(name: str, column: Mapping) -> tuple:
    reason = why_absent(column)
    if reason:
        return name, reason
    gap = number(_shortfall(column), 1)
    measure = DISTANCES.get(column.get("metric", ""), column.get("metric", ""))
    return name, measure, percent(column.get("score")), percent(column.get("floor")), gap


def _write_pairs(pairs: Result) -> Html:
    reason = why_absent(pairs)
    if reason:
        return remark(reason)
    names = list(pairs["columns"])
    ranked = rank_pairs(pairs)
    if not ranked:
        return remark("Skipped: no pair of columns was scored.")
    worst = table(
        "The pairs that fall furthest below the floor, in points.",
        ("First column", "Second column", "Score minus floor"),
        [(first, second, number(gap, 1, sign=True)) for first, second, gap in ranked[:5]],
        text=2,
    )
    if len(names) > MAX_PAIR_COLUMNS:
        note = f"No heatmap: {len(names)} columns are more than {MAX_PAIR_COLUMNS}."
        return join((remark(note), worst))
    gap = 100 * (np.array(pairs["score"], float) - np.array(pairs["floor"], float))
    np.fill_diagonal(gap, np.nan)
    caption = (
        "Score minus floor of each pair, in points. White: as good as a second real sample; blue: "
        "closer than that; orange: the relation is weaker or distorted; grey: not scored."
    )
    alt = f"Heatmap of pair scores minus floor for {len(names)} columns; worst pairs in the table."
    return join((image(plots.plot_pair_gap(names, gap), alt, caption), worst))


def _draw_pairs(found: Result, schema: Schema) -> Html:
    """The joint distributions of the worst pairs, real beside synthetic."""
    if why_absent(found):
        return remark(f"The most different pairs. {why_absent(found)}")
    dates = tuple(column.name for column in schema.columns if column.kind == "datetime")
    figures = []
    for pair in found:
        names = f"{pair['first']['name']} and {pair['second']['name']}"
        gap = f"{number(-pair['gap'], 1)} points below the floor"
        alt = f"Joint distribution of {names}: training, synthetic and test rows; {gap}."
        caption = join((tag("b", names), f" {gap}"))
        figures.append(image(pair_plots.plot_pair(pair, dates=dates), alt, caption))
    note = (
        "The pairs that fall furthest below the floor, cell by cell. The middle should resemble "
        "the left one as much as the right one does. White: fewer than 5 patients; a smaller "
        "table, as the test rows are, therefore shows fewer cells."
    )
    return join((tag("h4", "The most different pairs"), tag("p", note), *figures))


def _write_detection(detection: Result) -> Html:
    head = tag("h3", "Detection: all columns at once")
    if why_absent(detection):
        return join((head, remark(why_absent(detection))))
    caption = (
        f"How well a classifier ({detection.get('model', 'model not given')}) tells the rows from "
        "real test rows. Lower is better: 0.5 cannot be told apart, 1 always can."
    )
    rows = [
        (label, number(detection.get(key)))
        for key, label in (("auc", "Synthetic rows"), ("floor", "Floor (real training rows)"))
    ]
    return join((head, table(caption, ("", "AUC (95% interval)"), rows)))
