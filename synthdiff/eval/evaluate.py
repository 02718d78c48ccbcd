"""One dictionary with everything the evaluation report shows."""

from __future__ import annotations

import pandas as pd

from synthdiff.data.schema import Schema
from synthdiff.eval.codes import evaluate_codes
from synthdiff.eval.detection import MODEL, detection_auc
from synthdiff.eval.diversity import evaluate_diversity
from synthdiff.eval.fairness import draw_halves
from synthdiff.eval.features import check_table
from synthdiff.eval.fidelity import evaluate_fidelity
from synthdiff.eval.marginals import summarise_marginals
from synthdiff.eval.subgroups import evaluate_subgroups
from synthdiff.eval.temporal import evaluate_temporal
from synthdiff.eval.utility import predict_target, score_utility


def evaluate(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
) -> dict:
    """Fidelity, detection, utility, groups, diversity, codes and visits, each by its floor.

    train: rows the generator learnt from; test: rows of other patients. A metric that cannot
    run on these tables is {"skipped": reason}. Raises InputError where a column is absent.
    """
    for where, df in (("train", train), ("test", test), ("synthetic", synthetic)):
        check_table(df, schema, f"{where} table")
    detection = detection_auc(test, synthetic, schema, seed)
    if "skipped" not in detection:
        floor = detection_auc(test, train, schema, seed)
        detection = {"auc": detection, "floor": floor, "model": MODEL}
    sources = {"train": train, "synthetic": synthetic}
    if schema.sensitive:
        sources |= draw_halves(train, schema, seed)
    predictions = predict_target(sources, test, schema, seed)
    return {
        "rows": {"train": len(train), "test": len(test), "synthetic": len(synthetic)},
        "fidelity": evaluate_fidelity(train, test, synthetic, schema),
        "detection": detection,
        "utility": score_utility(predictions),
        "subgroups": evaluate_subgroups(train, test, synthetic, schema, predictions, seed),
        "diversity": evaluate_diversity(train, test, synthetic, schema, predictions),
        "codes": evaluate_codes(train, test, synthetic, schema, seed),
        "temporal": evaluate_temporal(train, test, synthetic, schema, seed),
        "marginals": summarise_marginals(train, test, synthetic, schema),
    }
