"""The utility section: models trained on real and on synthetic rows."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.report.formats import METRICS, Result, find_part, number, spaced, why_absent
from synthdiff.eval.report.markup import Html, remark, section, table


def write_utility(evaluation: Result) -> Html:
    """Each model trained on real and on synthetic rows, and the gap between them."""
    utility, reason = find_part(evaluation, "utility")
    title = "Utility: can it train a model for real patients?"
    if reason:
        return section("Utility", title, remark(reason))
    models = dict(utility.get("models") or {})
    if utility.get("mean"):
        models["Mean"] = utility["mean"]
    scored = [model for model in models.values() if not why_absent(model)]
    metrics = [key for key in METRICS if any(key in (model.get("trtr") or {}) for model in scored)]
    gaps = [
        key for key in metrics if any(key in (model.get("gap_points") or {}) for model in scored)
    ]
    header = ["Model"]
    for key in metrics:
        header += [f"{METRICS[key]}, real", f"{METRICS[key]}, synthetic"]
        header += [f"{METRICS[key]} gap, points"] if key in gaps else []
    rows = [
        _utility_row(spaced(name).capitalize(), model, metrics, gaps)
        for name, model in models.items()
    ]
    caption = (
        f"Predicting {utility.get('target', 'the target')} ({utility.get('task', 'task not given')}"
        "). Each model is trained once on real rows (TRTR) and once on synthetic rows (TSTR); "
        "both are tested on the same real rows that neither the models nor the generator saw. "
        "The gap is real minus synthetic: smaller is better."
    )
    return section("Utility", title, table(caption, header, rows))


def _utility_row(name: str, model: Mapping, metrics: list[str], gaps: list[str]) -> list:
    if why_absent(model):
        return [name, why_absent(model)]
    row = [name]
    for key in metrics:
        row += [number((model.get(source) or {}).get(key)) for source in ("trtr", "tstr")]
        if key in gaps:
            row.append(number((model.get("gap_points") or {}).get(key), 1, sign=True))
    return row
