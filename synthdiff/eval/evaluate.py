"""One dictionary with everything the evaluation report shows."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from synthdiff._progress import track
from synthdiff.data.schema import Schema
from synthdiff.eval.codes import evaluate_codes
from synthdiff.eval.detection import compare_detection
from synthdiff.eval.diversity import evaluate_diversity
from synthdiff.eval.fairness import draw_halves
from synthdiff.eval.features import check_table
from synthdiff.eval.fidelity import evaluate_fidelity
from synthdiff.eval.marginals import summarise_marginals
from synthdiff.eval.pairs import summarise_pairs
from synthdiff.eval.subgroups import evaluate_subgroups
from synthdiff.eval.temporal import evaluate_temporal
from synthdiff.eval.utility import predict_target, score_utility

NUM_PARTS = 10


def evaluate(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
) -> dict:
    """Fidelity, detection, utility, groups, diversity, codes and visits, each by its floor.

    train: rows the generator learnt from; test: rows of other patients. A metric that cannot
    run on these tables is {"skipped": reason}. Raises InputError where a column is absent. What
    takes long shows its progress on stderr.
    """
    for where, df in (("train", train), ("test", test), ("synthetic", synthetic)):
        check_table(df, schema, f"{where} table")
    parts = _score_parts(train, test, synthetic, schema, seed)
    return dict(track(parts, "evaluating", "part", NUM_PARTS))


def _score_parts(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, seed: int
) -> Iterator[tuple[str, dict | list]]:
    tables = (train, test, synthetic, schema)
    yield "rows", {"train": len(train), "test": len(test), "synthetic": len(synthetic)}
    fidelity = evaluate_fidelity(*tables)
    yield "fidelity", fidelity
    yield "detection", compare_detection(*tables, seed)
    sources = {"train": train, "synthetic": synthetic}
    if schema.sensitive:
        sources |= draw_halves(train, schema, seed)
    predictions = predict_target(sources, test, schema, seed)
    yield "utility", score_utility(predictions)
    yield "subgroups", evaluate_subgroups(*tables, predictions, seed)
    yield "diversity", evaluate_diversity(*tables, predictions)
    yield "codes", evaluate_codes(*tables, seed)
    yield "temporal", evaluate_temporal(*tables, seed)
    yield "marginals", summarise_marginals(*tables)
    yield "joint", summarise_pairs(*tables, fidelity["pairs"])
