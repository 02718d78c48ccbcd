"""The groups section: every level of the sensitive columns, and gaps between levels."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval import group_plots
from synthdiff.eval.report.formats import METRICS, Result, find_part, number, percent, why_absent
from synthdiff.eval.report.marginals import write_key
from synthdiff.eval.report.markup import Html, image, join, remark, section, table, tag

CHECKS = {
    "share": "its share of rows differs",
    "shape": "its columns agree less than a second real sample's",
    "auroc": "models lose more AUROC there than elsewhere",
    "accuracy": "models lose more accuracy there than elsewhere",
    "calibration_error": "models are less well calibrated there, more so than elsewhere",
    "r2": "models lose more R² there than elsewhere",
}
GAPS = {
    "equalised_odds_gap": "Equalised odds (true or false positive rate)",
    "auroc_gap": "AUROC",
    "accuracy_gap": "Accuracy",
    "calibration_error_gap": "Calibration error",
    "r2_gap": "R²",
}


def write_groups(evaluation: Result) -> Html:
    """What is flagged, then each sensitive column: its levels and the gaps between them."""
    groups, reason = find_part(evaluation, "subgroups")
    title = "Groups: does it serve every group of patients?"
    if reason:
        return section("Groups", title, remark(reason))
    columns = groups["columns"]
    intro = (
        "A check is flagged where its 99% interval says worse than real: a share that differs, "
        "columns that agree less than a second real sample's, models of synthetic rows that lose "
        "more in one group than over all, or a wider gap between groups than models of real rows "
        "have. The intervals cover the choice of test and of training patients. A group needs "
        f"{groups['min_patients']} patients in training and in test; a small group hides all but "
        "large differences."
    )
    parts = [_write_flags(columns), tag("p", intro), write_key()]
    parts += [_write_column(name, column) for name, column in columns.items()]
    return section("Groups", title, *parts)


def _write_flags(columns: Mapping) -> Html:
    flags = []
    for name, column in columns.items():
        if why_absent(column):
            continue
        for level, result in column["levels"].items():
            if why_absent(result):
                continue
            flags += [f"{name} = {level}: {CHECKS[flag]}" for flag in result["flags"]]
        flags += [f"{name}: wider gap in {GAPS[flag].lower()}" for flag in column["flags"]]
    if not flags:
        return remark("No check of a group is flagged.", tone="good")
    items = tag("ul", *(tag("li", flag) for flag in flags))
    return tag("div", tag("strong", "Flagged:"), items, class_="note warn")


def _write_column(name: str, column: Mapping) -> Html:
    head = tag("h3", name)
    if why_absent(column):
        return join((head, remark(why_absent(column))))
    levels = column["levels"]
    shown = {level: result for level, result in levels.items() if not why_absent(result)}
    rest = [(level, why_absent(result)) for level, result in levels.items() if level not in shown]
    if "unnamed" in column:
        other = column["unnamed"]
        rest.append((f"Other levels: {other['levels']}", why_absent(other)))
    parts = [head]
    if shown:
        scored = [level["scores"] for level in shown.values() if not why_absent(level["scores"])]
        metric = next((key for key in METRICS if any(key in scores for scores in scored)), None)
        source = group_plots.plot_groups(shown, metric, f"{METRICS.get(str(metric))} of models")
        alt = f"Share, agreement and model score of each level of {name}; numbers in the tables."
        caption = (
            "Each level in real rows (blue) and synthetic rows (orange). Agreement of columns: "
            "open blue circles are test rows, the floor. Bars: 99% intervals."
        )
        parts.append(image(source, alt, caption))
    parts.append(_write_presence(shown, rest))
    if any(not why_absent(level["scores"]) for level in shown.values()):
        parts.append(_write_scores(shown))
    return join((*parts, _write_gaps(column["gaps"])))


def _write_presence(shown: Mapping, rest: list[tuple]) -> Html:
    header = ("Level", "Patients, train", "Share, real", "Share, synthetic", "Agreement, floor",
              "Agreement, synthetic", "Difference, points")  # fmt: skip
    rows = []
    for level, result in shown.items():
        share, shape = result["share"], result["shape"]
        row = [level, f"{result['patients']['train']:,}"]
        row += [percent(share["train"]), percent(share["synthetic"])]
        if why_absent(shape):
            rows.append([*row, why_absent(shape)])
            continue
        gap = number(shape["difference"], 1, 100, sign=True)
        rows.append([*row, percent(shape["floor"]), percent(shape["synthetic"]), gap])
    caption = (
        "How large each group is, and how well its columns agree with its training rows. Test "
        "rows are the floor; both are scored in samples of the same size."
    )
    return table(caption, header, [*rows, *rest])


def _write_scores(shown: Mapping) -> Html:
    scored = [level["scores"] for level in shown.values()]
    names = [key for key in METRICS if any(key in scores for scores in scored)]
    labels = {key: METRICS[key] for key in names} | {"calibration_error": "Calibration error"}
    labels = {key: label for key, label in labels.items() if any(key in s for s in scored)}
    header = ["Level", "Excess loss, points"]
    for label in labels.values():
        header += [f"{label}, real", "synthetic"]
    rows = []
    for level, scores in zip(shown, scored, strict=True):
        row = [level, number((scores.get(names[0]) or {}).get("excess_points"), 1, sign=True)]
        for key in labels:
            score = scores.get(key) or {}
            row += [number((score.get(part) or {}).get("value")) for part in ("trtr", "tstr")]
        rows.append(row)
    caption = (
        "Models of the target, trained on real and on synthetic rows, tested on real rows of the "
        f"group. Excess loss: what synthetic training costs there in {METRICS[names[0]]} beyond "
        "what it costs over all test rows; positive is worse. Calibration error: lower is better. "
        "Dash: too few test patients with or without a class."
    )
    return table(caption, header, rows)


def _write_gaps(gaps: Mapping) -> Html:
    if why_absent(gaps):
        return remark(f"Gaps between levels. {why_absent(gaps)}.")
    rows = []
    for key, gap in gaps.items():
        cells = [why_absent(gap)]
        if not why_absent(gap):
            cells = [number(gap[part]["value"]) for part in ("trtr", "tstr")]
            cells.append(number(gap["difference"], sign=True))
        rows.append((GAPS[key], *cells))
    caption = (
        "Largest difference between levels, of models trained on real and on synthetic rows; 0 "
        "treats all alike. A positive difference means that synthetic training widens the gap."
    )
    return table(caption, ("Gap in", "Real", "Synthetic", "Difference (99% interval)"), rows)
