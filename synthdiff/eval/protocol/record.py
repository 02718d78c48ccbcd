"""Means and spreads of a benchmark over training seeds and samples, and their Markdown table."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthdiff.eval.markdown import format_rows
from synthdiff.eval.protocol.score import METRICS, Scores
from synthdiff.eval.spread import describe_spread


def summarise(runs: list[list[Scores]]) -> dict[str, dict]:
    """Each metric over `runs`: per training seed, the scores of its sampled tables.

    mean: of the seeds' means. std_seeds: standard deviation of those over seeds; None for one
    seed. std_samples: that over the tables of one seed, averaged over seeds, which is all the
    literature prints; None for one table. A metric skipped anywhere is {"skipped": reason}.
    """
    summary: dict[str, dict] = {}
    for name in METRICS:
        values: list[list[Any]] = [[scores[name] for scores in run] for run in runs]
        skipped = [value for run in values for value in run if isinstance(value, dict)]
        if skipped:
            summary[name] = skipped[0]
            continue
        of_samples = [describe_spread(run) for run in values]
        of_seeds = describe_spread([run["mean"] for run in of_samples])
        spreads = [run["std"] for run in of_samples if run["std"] is not None]
        summary[name] = {
            "mean": of_seeds["mean"],
            "std_seeds": of_seeds["std"],
            "std_samples": float(np.mean(spreads)) if spreads else None,
            "values": of_seeds["values"],
        }
    return summary


def _format_score(score: dict) -> str:
    if "skipped" in score:
        return "skipped"
    spread = score["std_samples"] if score["std_seeds"] is None else score["std_seeds"]
    return f"{score['mean']:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def format_markdown(record: dict) -> str:
    """The record as a table of methods by metrics, with what is needed to repeat it."""
    lines = [f"# Data quality on {record['dataset']}", ""]
    for key in ("command", "commit", "device", "rows", "wall_seconds"):
        lines.append(f"- {key}: {record[key]}")
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines.append(f"- versions: {versions}")
    methods = record["methods"]
    for name, method in methods.items():
        places = {f"{o['device']}, commit {o['commit']}" for o in method.get("origins", []) if o}
        lines += [f"- {name} trained and drawn on {place}" for place in sorted(places)]
    rows = [[about, *(_format_score(method["scores"][name]) for method in methods.values())]
            for name, about in METRICS.items()]  # fmt: skip
    for label, key in (("training seeds", "seeds"), ("tables per seed", "num_samples")):
        rows.append([label, *(", ".join(map(str, method[key])) for method in methods.values())])
    lines += ["", *format_rows(["score", *methods], rows)]
    lines += ["", "Spread: over training seeds where there are several, else over sampled tables."]
    reasons = {
        f"- {method}, {name}: {score['skipped']}"
        for method, result in methods.items()
        for name, score in result["scores"].items()
        if "skipped" in score
    }
    return "\n".join([*lines, *sorted(reasons)]) + "\n"
