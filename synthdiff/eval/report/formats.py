"""Results as text: numbers, intervals, shares, and why a result is absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

# A result as JSON has it: a number, an interval, a block of results, {"skipped": why} or nothing.
Result = Any

NOT_RUN = "Not run."
DASH = "–"
METRICS = {"auroc": "AUROC", "accuracy": "Accuracy", "r2": "R²", "rmse": "RMSE"}


def why_absent(metric: Result) -> str | None:
    """Why there is nothing to show, or None where there is something."""
    if metric is None or metric == {} or metric == []:
        return NOT_RUN
    if isinstance(metric, Mapping) and "skipped" in metric:
        return f"Skipped: {metric['skipped']}"
    return None


def find_part(evaluation: Result, name: str) -> tuple[Result, str | None]:
    """A part of the evaluation, and why there is nothing of it to show, if there is nothing."""
    found = (evaluation or {}).get(name)
    return found, why_absent(evaluation) or why_absent(found)


def _is_number(value: Result) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)


def number(value: Result, digits: int = 3, scale: float = 1, sign: bool = False) -> str:
    """A number, or an interval as "0.512 (0.490 to 0.534)"; a dash where there is none."""
    if isinstance(value, Mapping):
        if reason := why_absent(value):
            return reason
        ends = [number(value.get(key), digits, scale, sign) for key in ("lower", "upper")]
        return f"{number(value.get('value'), digits, scale, sign)} ({ends[0]} to {ends[1]})"
    if not _is_number(value):
        return DASH
    text = f"{scale * value:{'+' if sign else ''}.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def percent(value: Result, digits: int = 1) -> str:
    """A share in 0..1, or an interval of one, in percent."""
    if isinstance(value, Mapping) and not why_absent(value):
        ends = [number(value.get(key), digits, 100) for key in ("lower", "upper")]
        return f"{percent(value.get('value'), digits)} ({ends[0]} to {ends[1]})"
    text = number(value, digits, 100)
    return f"{text}%" if _is_number(value) else text


def ends(estimate: Result) -> str:
    """The interval alone: "95% interval 0.490 to 0.534"; empty for a plain number."""
    if not isinstance(estimate, Mapping):
        return ""
    lower, upper = (number(estimate.get(key)) for key in ("lower", "upper"))
    return f"{number(estimate.get('confidence'), 0, 100)}% interval {lower} to {upper}"


def spaced(name: object) -> str:
    """A name of ours, such as an attack's, for people: "random_forest" to "random forest"."""
    return str(name).replace("_", " ")


def p_value(value: Result) -> str:
    """A p-value as people print it: three decimals, "< 0.001" below that."""
    return "< 0.001" if _is_number(value) and value < 0.001 else number(value)


def point(value: Result) -> float | None:
    """The finite estimate within a number or an interval; None where there is none."""
    value = value.get("value") if isinstance(value, Mapping) else value
    return float(value) if _is_number(value) else None


def flatten(value: Result, prefix: str = "", width: int = 300) -> list[tuple[str, str]]:
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


def by_auc(results: Mapping) -> list[tuple[str, Result]]:
    """Attacks with the highest AUC first; those without one last."""

    def strength(item: tuple[str, Result]) -> float:
        value = None if why_absent(item[1]) else point(item[1].get("auc"))
        return -2.0 if value is None else value

    return sorted(results.items(), key=strength, reverse=True)
