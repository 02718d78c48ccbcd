"""All metrics of the protocol for one synthetic table, and for real rows as the floor."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.eval.protocol.c2st import logistic_c2st
from synthdiff.eval.protocol.dcr import dcr_share
from synthdiff.eval.protocol.mle import train_synthetic_test_real
from synthdiff.eval.protocol.precision_recall import alpha_precision_beta_recall
from synthdiff.eval.protocol.shape import shape_error
from synthdiff.eval.protocol.tables import Roles, cut_to_equal
from synthdiff.eval.protocol.trees import detect_10_trees, detect_300_trees
from synthdiff.eval.protocol.trend import trend_error

Scores = dict[str, float | dict]

# What each score is, and what the best table has.
METRICS = {
    "shape_error": "Shape error %, 0 is best",
    "trend_error": "Trend error %, 0 is best",
    "detection_300": "AUC of 300 trees, synthetic vs test, 0.5 is best",
    "detection_10": "AUC of 10 trees, synthetic vs test, 0.5 is best",
    "mle": "MLE on the test rows: AUC up, RMSE down",
    "c2st": "logistic C2ST %, 100 is best (blind to dependence)",
    "alpha_precision": "alpha-precision %, up",
    "beta_recall": "beta-recall %, about 50 is a fresh real sample, 100 a copy",
    "dcr_strict": "DCR % closer to train, ties not counted",
    "dcr_tie_aware": "DCR % closer to train, ties at chance",
    "dcr_tied": "DCR % of rows that tie",
    "dcr_chance": "DCR % by chance",
}


def score_table(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    roles: Roles,
    *,
    val: pd.DataFrame | None = None,
    device: str = "cpu",
) -> Scores:
    """Every score in `METRICS` of one synthetic table; tables as `prepare` gives them.

    Shape, Trend, C2ST, precision and recall hold it against train, as published; both tree
    detectors and MLE against the held-out test rows. val: real rows by which MLE chooses.
    """
    return {
        **_likeness(train, synthetic, roles),
        "detection_300": detect_300_trees(test, synthetic, roles, device=device),
        "detection_10": detect_10_trees(test, synthetic, roles, device=device),
        "mle": train_synthetic_test_real(synthetic, test, roles, val=val, device=device),
        **_dcr(train, test, synthetic, roles),
    }


def score_floor(
    train: pd.DataFrame,
    test: pd.DataFrame,
    roles: Roles,
    *,
    val: pd.DataFrame | None = None,
    device: str = "cpu",
) -> Scores:
    """What real rows score in the place of synthetic ones: the best anyone can ask for.

    Test rows against equally many training rows (sampling noise alone keeps Shape and Trend off
    0, and the smaller the test part, the more); in detection, training rows against test rows;
    in MLE, a model of the real training rows. In the DCR, one half of the test rows plays the
    synthetic table and the other the holdout.
    """
    some_train, some_test = cut_to_equal(train, test, seed=0)
    order = np.random.default_rng(0).permutation(len(test))
    halves = [test.iloc[part].reset_index(drop=True) for part in np.array_split(order, 2)]
    return {
        **_likeness(some_train, some_test, roles),
        "detection_300": detect_300_trees(test, train, roles, device=device),
        "detection_10": detect_10_trees(test, train, roles, device=device),
        "mle": train_synthetic_test_real(train, test, roles, val=val, device=device),
        **_dcr(train, halves[0], halves[1], roles),
    }


def _likeness(train: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles) -> Scores:
    return {
        "shape_error": shape_error(train, synthetic, roles),
        "trend_error": trend_error(train, synthetic, roles),
        "c2st": logistic_c2st(train, synthetic, roles),
        **alpha_precision_beta_recall(train, synthetic, roles),
    }


def _dcr(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, roles: Roles
) -> Scores:
    shares = dcr_share(train, holdout, synthetic, roles)
    return {f"dcr_{name}": share for name, share in shares.items()}
