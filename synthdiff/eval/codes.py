"""How well a code set is reproduced: how often codes occur, together, per row, and in models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.linear_model import LogisticRegression

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import Featurizer, code_rows, patient_numbers
from synthdiff.eval.levels import MIN_PATIENTS
from synthdiff.eval.statistics import auc

RARE = 0.01
TOP_PAIRS = 200
TOP_PREDICTED = 20
_MAX_POINTS = 500
_MAX_INPUTS = 500
_MAX_ROWS = 10_000
_MIN_CODE_PATIENTS = 20
_MIN_CODES = 3


def multi_hot(series: pd.Series, column: Column, codes: pd.Index) -> sparse.csr_array:
    """float64 [rows, codes] with 1 where the row has the code; other codes are left out."""
    rows, found = code_rows(series, column)
    places = codes.get_indexer(found)
    kept = places >= 0
    cells = (np.ones(kept.sum()), (rows[kept], places[kept]))
    matrix = sparse.csr_array(cells, shape=(len(series), len(codes)))
    matrix.data[:] = 1  # a code written twice in a cell counts once
    return matrix


def agreement(real: np.ndarray, other: np.ndarray) -> dict:
    """R2 of other = real (1 - squared error / variance of real), Pearson's and Spearman's r."""
    if len(real) < _MIN_CODES or np.ptp(real) == 0:
        return {"skipped": "too few values to compare"}
    r2 = float(1 - np.mean((real - other) ** 2) / np.var(real))
    if np.ptp(other) == 0:  # a constant has no correlation with anything
        return {"r2": r2, "pearson": 0.0, "spearman": 0.0}
    return {
        "r2": r2,
        "pearson": float(stats.pearsonr(real, other).statistic),
        "spearman": float(stats.spearmanr(real, other).statistic),
    }


def _vocabulary(series: pd.Series, column: Column, patients: np.ndarray) -> pd.Index:
    """Codes of at least 5 training patients, most frequent first."""
    rows, found = code_rows(series, column)
    numbers, codes = pd.factorize(found)
    counts = count_patients(numbers, len(codes), patients[rows])
    order = np.argsort(-counts, kind="stable")
    return pd.Index(codes[order[counts[order] >= MIN_PATIENTS]], dtype=object)


def _prevalence(matrices: Mapping[str, sparse.csr_array], patients: np.ndarray) -> dict:
    """Share of rows with each code; patients: of the test rows, to withhold counts below 5."""
    shares = {part: np.asarray(matrix.mean(axis=0)) for part, matrix in matrices.items()}
    rare = shares["train"] < RARE
    result: dict[str, Any] = {"codes": len(rare), "rare_codes": int(rare.sum())}
    for name, part in (("synthetic", "synthetic"), ("floor", "test")):
        result[name] = agreement(shares["train"], shares[part])
        result[f"{name}_rare"] = agreement(shares["train"][rare], shares[part][rare])
    test = matrices["test"].tocoo()
    held = count_patients(test.coords[1], len(rare), patients[test.coords[0]])
    shares["test"] = np.where(held >= MIN_PATIENTS, shares["test"], 0)
    result["points"] = {part: share[:_MAX_POINTS].tolist() for part, share in shares.items()}
    return result


def _pair_shares(matrix: sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all pairs of codes: share of rows with both, the same if independent, and phi."""
    joint = (matrix.T @ matrix).toarray() / matrix.shape[0]
    single = np.diag(joint).copy()
    apart = np.outer(single, single)
    scale = np.sqrt(np.outer(single * (1 - single), single * (1 - single)))
    phi = np.divide(joint - apart, scale, out=np.zeros_like(joint), where=scale > 0)
    above = np.triu_indices(len(single), 1)
    return joint[above], apart[above], phi[above]


def _cooccurrence(matrices: Mapping[str, sparse.csr_array]) -> dict:
    """Agreement over pairs of the 200 most frequent codes, and of their correlations (phi).

    independent: what a table reaches that has the right prevalences and no relation at all.
    """
    top = {part: matrix[:, :TOP_PAIRS] for part, matrix in matrices.items()}
    pairs = {part: _pair_shares(matrix) for part, matrix in top.items()}
    joint, apart, phi = pairs["train"]
    result = {"codes": top["train"].shape[1], "pairs": len(joint)}
    for name, part in (("synthetic", "synthetic"), ("floor", "test")):
        result[name] = agreement(joint, pairs[part][0])
        result[f"{name}_phi"] = agreement(phi, pairs[part][2])
    result["independent"] = agreement(joint, apart)
    result["independent_phi"] = agreement(phi, np.zeros_like(phi))
    return result


def _set_sizes(tables: Mapping[str, pd.DataFrame], column: Column) -> dict:
    """Total variation distance between distributions of the number of codes per row."""
    counts = {}
    for part, df in tables.items():
        rows, _ = code_rows(df[column.name], column)
        counts[part] = np.bincount(np.bincount(rows, minlength=len(df))) / len(df)
    longest = max(map(len, counts.values()))
    shares = {part: np.pad(count, (0, longest - len(count))) for part, count in counts.items()}
    return {
        name: float(np.abs(shares["train"] - shares[part]).sum() / 2)
        for name, part in (("synthetic", "synthetic"), ("floor", "test"))
    }


def _predictable(matrices: Mapping[str, sparse.csr_array], ids: Mapping[str, np.ndarray]) -> list:
    """The most frequent codes that enough patients have, and lack, in training and in test."""
    chosen = []
    for code in range(min(_MAX_INPUTS, matrices["train"].shape[1])):
        people = []
        for part in ("train", "test"):
            has = _column(matrices[part], code)
            people += [len(np.unique(ids[part][side])) for side in (has, ~has)]
        if min(people) >= _MIN_CODE_PATIENTS:
            chosen.append(code)
        if len(chosen) == TOP_PREDICTED:
            break
    return chosen


def _column(matrix: sparse.csr_array, code: int) -> np.ndarray:
    return matrix[:, [code]].toarray().ravel() > 0


def _code_area(inputs: Mapping, part: str, code: int) -> float:
    """AUC on test rows of a model of one code from all else, trained on `part`."""
    others, codes = inputs["others"], inputs["codes"]
    rest = np.delete(np.arange(codes[part].shape[1]), code)
    train, test = (
        sparse.hstack([others[where], codes[where][:, rest]], format="csr")
        for where in (part, "test")
    )
    target, truth = (_column(codes[where], code) for where in (part, "test"))
    if target.all() or not target.any():
        return 0.5
    scores = LogisticRegression(max_iter=200).fit(train, target).decision_function(test)
    return auc(scores[truth], scores[~truth])


def _code_models(
    tables: Mapping[str, pd.DataFrame],
    matrices: Mapping[str, sparse.csr_array],
    ids: Mapping[str, np.ndarray],
    column: Column,
    schema: Schema,
    seed: int,
) -> dict:
    """Logistic models of the 20 most frequent codes from all else, trained on real and synthetic.

    Inputs are the other columns and the 500 most frequent other codes; tables are cut to 10,000
    rows. A code that the synthetic table lacks, or that all its rows have, has AUC 0.5.
    """
    chosen = _predictable(matrices, ids)
    if len(chosen) < _MIN_CODES:
        return {"skipped": f"fewer than {_MIN_CODES} codes have {_MIN_CODE_PATIENTS} patients"}
    rng = np.random.default_rng(seed)
    kept = {part: rng.permutation(len(df))[:_MAX_ROWS] for part, df in tables.items()}
    codes = {part: matrix[kept[part]][:, :_MAX_INPUTS] for part, matrix in matrices.items()}
    parts = {part: df.iloc[kept[part]] for part, df in tables.items()}
    others = {part: sparse.csr_array((len(df), 0)) for part, df in parts.items()}
    if len(schema.features) > 1:
        featurizer = Featurizer.fit(parts["train"], schema, exclude=[column.name])
        others = {
            part: sparse.csr_array(featurizer.transform(df, "linear")) for part, df in parts.items()
        }
    inputs = {"others": others, "codes": codes}
    real, synthetic = (
        np.array([_code_area(inputs, part, code) for code in chosen])
        for part in ("train", "synthetic")
    )
    return {
        "codes": len(chosen),
        "trtr_auc": float(real.mean()),
        "tstr_auc": float(synthetic.mean()),
        "agreement": agreement(real, synthetic),
        "points": {"trtr": real.tolist(), "tstr": synthetic.tolist()},
    }


def _evaluate_code_set(
    tables: Mapping[str, pd.DataFrame], column: Column, schema: Schema, seed: int
) -> dict:
    ids = {part: patient_numbers(df, schema) for part, df in tables.items()}
    vocabulary = _vocabulary(tables["train"][column.name], column, ids["train"])
    if len(vocabulary) < _MIN_CODES:
        return {"skipped": f"fewer than {_MIN_CODES} codes are held by {MIN_PATIENTS} patients"}
    matrices = {part: multi_hot(df[column.name], column, vocabulary) for part, df in tables.items()}
    return {
        "prevalence": _prevalence(matrices, ids["test"]),
        "cooccurrence": _cooccurrence(matrices),
        "set_size_distance": _set_sizes(tables, column),
        "models": _code_models(tables, matrices, ids, column, schema, seed),
    }


def evaluate_codes(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
) -> dict:
    """Agreement of each code set with the training table; the floor is that of the test table.

    Counts codes that at least 5 training patients have. Matrices of codes stay sparse.
    """
    columns = [column for column in schema.features if column.kind == "code_set"]
    if not columns:
        return {"skipped": "the schema has no code set"}
    tables = {"train": train, "test": test, "synthetic": synthetic}
    return {column.name: _evaluate_code_set(tables, column, schema, seed) for column in columns}
