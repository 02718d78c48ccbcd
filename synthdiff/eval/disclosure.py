"""The three risks of WP29 opinion 05/2014: singling out, linkability and inference.

Each risk compares an attack on patients of the training data with the same attack on held-out
patients and with guessing; what it gains over the held-out patients is the residual risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._progress import track
from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer, patient_numbers
from synthdiff.eval.game import MAX_PATIENTS, ROWS_PER_PATIENT, cap_rows
from synthdiff.eval.inference import guess_secret
from synthdiff.eval.linkability import find_links
from synthdiff.eval.risk import compare_rates
from synthdiff.eval.singling_out import attack_multivariate, attack_univariate
from synthdiff.eval.statistics import adjust_together
from synthdiff.eval.strata import find_outliers


@dataclass(frozen=True)
class _Targets:
    """One random record of each patient, members first; and who is a member, who an outlier."""

    table: pd.DataFrame
    member: np.ndarray
    outlier: np.ndarray


def _keep(
    df: pd.DataFrame, schema: Schema, count: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of `count` random patients (or of all), and the patient of each row."""
    patients = patient_numbers(df, schema)
    total = int(patients.max()) + 1
    rows = np.isin(patients, rng.permutation(total)[: min(count, total)])
    return df[rows].reset_index(drop=True), patients[rows]


def _draw_targets(
    members: pd.DataFrame,
    controls: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
    max_patients: int,
) -> _Targets:
    drawn = []
    for df in (members, controls):
        kept, patients = _keep(df, schema, max_patients, rng)
        order = rng.permutation(len(kept))
        drawn.append(kept.iloc[order[np.unique(patients[order], return_index=True)[1]]])
    table = pd.concat(drawn, ignore_index=True)
    features = Featurizer.fit(synthetic, schema).transform(table)
    rows = np.arange(len(table))
    outlier = np.isin(rows, find_outliers([(features, rows)])[0])
    return _Targets(table, rows < len(drawn[0]), outlier)


def _compare(
    right: np.ndarray, chance: np.ndarray, member: np.ndarray, outlier: np.ndarray
) -> dict:
    """The record of an attack on all targets, with one on the outliers only beside it."""
    records = []
    for kept in (np.ones(len(right), bool), outlier):
        first, second = kept & member, kept & ~member
        baseline = float(chance[first].mean()) if first.any() else 0.0
        records.append(compare_rates(right[first], right[second], baseline))
    return records[0] | {"outliers": records[1]}


def audit_disclosure(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
    max_patients: int = MAX_PATIENTS,
) -> dict:
    """Singling out, linkability, and inference of each sensitive column and the target.

    held_out: every real row of patients whom the generator never saw. Singling out asks all real
    patients, the others at most `max_patients` a side, one random record of each; ten times as many
    synthetic rows are seen. The p-values of all attacks are adjusted together (Holm), and in an
    audit again, with those on membership.
    """
    kept = cap_rows(len(synthetic), ROWS_PER_PATIENT * max_patients, rng)
    synthetic = synthetic.iloc[kept].reset_index(drop=True)
    targets = _draw_targets(train, held_out, synthetic, schema, rng, max_patients)
    secrets = dict.fromkeys([*schema.sensitive, *filter(None, [schema.target])])
    crowds = [(df, patient_numbers(df, schema)) for df in (train, held_out)]
    single = {"univariate": attack_univariate(crowds, synthetic, schema, rng)}
    single |= attack_multivariate(crowds, synthetic, schema, rng)
    result: dict = {"singling_out": single}
    if len(schema.features) > 1:
        links = find_links(targets.table, synthetic, schema, rng)
        chance = np.full(len(links), 1 / len(synthetic))
        result["linkability"] = _compare(links, chance, targets.member, targets.outlier)
        result["inference"] = {}
    guessed = secrets if len(schema.features) > 1 else ()
    for name in track(guessed, "columns guessed", "column"):
        known, right, chance = guess_secret(targets.table, synthetic, schema, schema[name], rng)
        sides = targets.member[known], targets.outlier[known]
        result["inference"][name] = _compare(right, chance, *sides)
    adjust_together([record for record in list_attacks(result).values() if "p_value" in record])
    return result


def list_attacks(disclosure: Mapping) -> dict[str, dict]:
    """Every attack of the result by a name of its own, such as "inference of sex"."""
    named = {f"singling out, {k}": v for k, v in (disclosure.get("singling_out") or {}).items()}
    if "linkability" in disclosure:
        named["linkability"] = disclosure["linkability"]
    inferred = disclosure.get("inference") or {}
    return named | {f"inference of {k}": v for k, v in inferred.items()}


def list_tested(disclosure: Mapping) -> dict[str, dict]:
    """Those that count for a verdict, with a p-value.

    Singling out is left to its gate: with more members than held-out patients its control is an
    estimate, and predicates that find the same people are not independent.
    """
    rest = {name: found for name, found in disclosure.items() if name != "singling_out"}
    return {name: record for name, record in list_attacks(rest).items() if "p_value" in record}
