"""The headline numbers of a finished run, and their spread over runs."""

import json
from pathlib import Path

from synthdiff.eval.spread import describe_spread


def read_scores(run_dir: Path) -> dict[str, float]:
    """The headline numbers of one finished run, floors beside them."""
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    audit = json.loads((run_dir / "audit.json").read_text())
    fidelity, floor = evaluation["fidelity"], evaluation["fidelity"]["floor"]
    scores = {"fidelity rate": fidelity["rate"], "fidelity rate, floor": floor["rate"]}
    for part in ("shape", "trend"):
        if not isinstance(fidelity[part], dict):
            scores |= {part: fidelity[part], f"{part}, floor": floor[part]}
    if "auc" in evaluation["detection"]:
        scores["detection AUC"] = evaluation["detection"]["auc"]["value"]
        scores["detection AUC, floor"] = evaluation["detection"]["floor"]["value"]
    for source, values in evaluation["utility"].get("mean", {}).items():
        scores |= {f"utility {source} {name}": value for name, value in values.items()}
    for column, found in evaluation["codes"].items():
        if "prevalence" in found:
            scores |= {f"{column} {name}": value for name, value in read_codes(found).items()}
    scores |= read_visits(evaluation.get("temporal", {"skipped": "an older evaluation"}))
    for name, attack in audit["attacks"].items():
        scores[f"attack {name} AUC"] = attack["auc"]["value"]
        scores[f"attack {name} TPR at 1% FPR"] = attack["tpr_at_1pct_fpr"]["value"]
    timings = json.loads((run_dir / "timings.json").read_text())
    return scores | {f"seconds {stage}": spent for stage, spent in timings.items()}


def read_visits(found: dict) -> dict[str, float]:
    """Of whole patients: how well they are told, and how many measures stray beyond real ones."""
    if "skipped" in found:
        return {}
    flagged = [name for name in found["flags"] if name in found["distances"]]
    sizes = {"visits measures": found["distances"], "visits measures, flagged": flagged}
    scores = {name: float(len(each)) for name, each in sizes.items()}
    if "auc" in found["detection"]:
        scores["visits detection AUC"] = found["detection"]["auc"]["value"]
        scores["visits detection AUC, floor"] = found["detection"]["floor"]["value"]
    if "skipped" not in found["constancy"]:
        kept = [column["synthetic"] for column in found["constancy"].values()]
        scores["visits, least constant column"] = min(kept, default=1.0)
    return scores


def read_codes(found: dict) -> dict[str, float]:
    """Of one code set: R2 of prevalences and pairs beside their floors, and AUC of code models."""
    scores = {}
    for name in ("prevalence", "cooccurrence"):
        for part, label in (("synthetic", ""), ("floor", ", floor"), ("independent", ", apart")):
            if "r2" in found[name].get(part, {}):
                scores[f"{name} R2{label}"] = found[name][part]["r2"]
    scores["set size distance"] = found["set_size_distance"]["synthetic"]
    scores["set size distance, floor"] = found["set_size_distance"]["floor"]
    for part in ("trtr", "tstr"):
        if f"{part}_auc" in found["models"]:
            scores[f"models {part} AUC"] = found["models"][f"{part}_auc"]
    return scores


def summarise(runs: list[dict[str, float]]) -> dict[str, dict]:
    """Mean, standard deviation over seeds and the single values of each score."""
    return {name: describe_spread([run[name] for run in runs]) for name in runs[0]}


def format_spread(score: dict) -> str:
    """A score of `summarise` as mean ± standard deviation; one value if all runs have the same."""
    mean, std = score["mean"], score["std"] or 0.0
    if std > 1e-9 * abs(mean):
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.0f}" if mean == round(mean) else f"{mean:.4g}"


def mark_front(rows: list[dict]) -> list[dict]:
    """The rows with "front": yes where none is faster at an AUC that is as low."""

    def is_beaten(row: dict) -> bool:
        return any(
            other["records_per_s"] > row["records_per_s"]
            and other["detection_auc"] <= row["detection_auc"]
            for other in rows
        )

    return [row | {"front": "" if is_beaten(row) else "yes"} for row in rows]
