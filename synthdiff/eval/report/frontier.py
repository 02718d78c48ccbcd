"""The section on what other settings would have given: detail against privacy."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.frontier import EXPOSURE, QUALITY
from synthdiff.eval.frontier_plots import plot_frontier
from synthdiff.eval.report.formats import Result, number, point
from synthdiff.eval.report.markup import Html, image, remark, section, table, tag


def write_frontier(frontier: Mapping, evaluation: Result, audit: Result) -> Html:
    """The figure, and its numbers as a table; frontier: as of `summarise_frontier`."""
    own = find_own(evaluation, audit)
    intro = (
        "How much detail costs how much privacy on this data set, measured by a study of its own: "
        f"one setting at a time changed, {frontier['seeds']} trainings each, on other splits of "
        "the patients and fewer of them, half of them members. So compare directions with this "
        "run, not digits. To the left is more private; above, a lower detection AUC is better, "
        "below, a higher rate."
    )
    names = [*QUALITY, *EXPOSURE]
    points = frontier["points"]
    rows = [(name, *(_cell(scores[n]) for n in names)) for name, scores in points.items()]
    rows.append(("this run", *(_cell(own[n]) if n in own else "–" for n in names)))
    caption = "Mean ± standard error; a run alone has none for fidelity."
    heads = [label.partition(" (")[0] for label in (*QUALITY.values(), *EXPOSURE.values())]
    alt = f"Fidelity and detection against two attacks for {', '.join(points)}, and this run."
    note = "Bars are two standard errors; the grey line is an attack that finds nothing."
    return section(
        "Frontier",
        "Detail against privacy",
        tag("p", intro),
        image(plot_frontier(points, own), alt, note),
        table(caption, ("Setting", *heads), rows),
        remark("Command of the study: ", tag("code", frontier["command"])),
    )


def find_own(evaluation: Result, audit: Result) -> dict[str, dict]:
    """The scores of this run that the study has too; error: a quarter of a 95% interval."""
    evaluation, audit = evaluation or {}, audit or {}
    attack = (audit.get("attacks") or {}).get("likelihood_influence") or {}
    whitebox = ((audit.get("whitebox") or {}).get("attacks") or {}).get("loss") or {}
    found: dict[str, Result] = {
        "detection AUC": (evaluation.get("detection") or {}).get("auc"),
        "fidelity rate": (evaluation.get("fidelity") or {}).get("rate"),
        "attack likelihood_influence AUC": attack.get("auc"),
        "attack on the model, loss AUC": whitebox.get("auc"),
    }
    own = {}
    for name, score in found.items():
        mean = point(score)
        if mean is not None:
            width = score["upper"] - score["lower"] if isinstance(score, Mapping) else None
            own[name] = {"mean": mean, "error": width / 4 if width else None}
    return own


def _cell(score: Mapping) -> str:
    digits = 3 if abs(score["mean"]) < 10 else 2
    error = score["error"]
    return number(score["mean"], digits) + (f" ± {number(error, digits)}" if error else "")
