"""The privacy audit: can the synthetic rows tell who was in the training data?

Attacks give lower bounds on exposure. The audit therefore checks itself first (validity), shows
what it would have found (planted leaks), and only then reads the attacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.detection import cross_fitted_scores
from synthdiff.eval.features import Featurizer, check_table, row_keys
from synthdiff.eval.membership import (
    Side,
    compare_copies,
    patient_scores,
    run_attack,
    summarise_scores,
)
from synthdiff.eval.statistics import holm, minimum_detectable_tpr

ALPHA = 0.05
MIN_POWER_PATIENTS = 1000
CONTROL_CONFIDENCE = 0.99  # the checks gate the verdict: 95% would void one sound audit in ten
NULL_ATTACK = "calibrated_distance"
PLANT_ATTACKS = ("distance", "calibrated_distance")
_TESTS = len(ATTACKS) + 1  # and the exact copies
_MIN_PATIENTS = 20
_MAX_PATIENTS = 5000
_MAX_ROWS = 50_000


@dataclass(frozen=True)
class _Game:
    """Equally many member and non-member patients, and the rows that attacks may see."""

    unit: str
    members: Side
    nonmembers: Side
    synthetic: np.ndarray
    reference: np.ndarray
    reference_patients: np.ndarray
    overlap: int
    notes: list[str]

    @property
    def patients(self) -> int:
        return len(np.unique(self.members.patients))


def _ids(df: pd.DataFrame, schema: Schema, where: str) -> np.ndarray:
    """The patient of each row; every row is its own where the schema has no entity."""
    if schema.entity is None:
        return np.arange(len(df))
    if schema.entity not in df:
        raise input_error(f"{where} table", f"no column {schema.entity!r}", "keep the patient id")
    if df[schema.entity].isna().any():
        raise input_error(f"{where} table", "rows without a patient id", "drop them or fill it")
    return df[schema.entity].to_numpy()


def _keep_patients(
    df: pd.DataFrame, ids: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    kept = rng.choice(np.unique(ids), count, replace=False)
    rows = np.isin(ids, kept)
    return df[rows].reset_index(drop=True), ids[rows]


def _cap_rows(
    df: pd.DataFrame, ids: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    if len(df) <= _MAX_ROWS:
        return df, ids
    rows = rng.choice(len(df), _MAX_ROWS, replace=False)
    return df.iloc[rows], ids[rows]


def _set_up(tables: dict[str, pd.DataFrame], schema: Schema, rng: np.random.Generator) -> _Game:
    ids = {part: _ids(tables[part], schema, part) for part in ("train", "test", "reference")}
    shared = 0
    if schema.entity is not None:
        for a, b in (("train", "test"), ("train", "reference"), ("test", "reference")):
            shared += len(np.intersect1d(ids[a], ids[b]))
    available = min(len(np.unique(ids["train"])), len(np.unique(ids["test"])))
    if min(available, len(np.unique(ids["reference"]))) < _MIN_PATIENTS:
        raise input_error(
            "audit", f"a part has fewer than {_MIN_PATIENTS} patients", "hold out more patients"
        )
    count = min(available, _MAX_PATIENTS)
    member_rows, member_ids = _keep_patients(tables["train"], ids["train"], count, rng)
    nonmember_rows, nonmember_ids = _keep_patients(tables["test"], ids["test"], count, rng)
    reference, reference_ids = _cap_rows(tables["reference"], ids["reference"], rng)
    synthetic, _ = _cap_rows(tables["synthetic"], np.arange(len(tables["synthetic"])), rng)
    notes = []
    if len(synthetic) < len(tables["synthetic"]):
        notes.append(f"Attacks saw a random {_MAX_ROWS} of {len(tables['synthetic'])} rows.")
    encode = Featurizer.fit(reference, schema).transform
    return _Game(
        "row" if schema.entity is None else "patient",
        Side(encode(member_rows), member_ids, row_keys(member_rows, schema)),
        Side(encode(nonmember_rows), nonmember_ids, row_keys(nonmember_rows, schema)),
        encode(synthetic),
        encode(reference),
        reference_ids,
        shared,
        notes,
    )


def _run_blind_control(game: _Game, rng: np.random.Generator) -> dict:
    """Tells members from non-members by the record alone: nothing but a bad split can help."""
    members, nonmembers = game.members, game.nonmembers
    scores = cross_fitted_scores(
        members.features,
        nonmembers.features,
        members.patients,
        nonmembers.patients,
        rng,
        max_iter=50,
    )
    return summarise_scores(
        patient_scores(scores[0], members.patients),
        patient_scores(scores[1], nonmembers.patients),
        rng,
        confidence=CONTROL_CONFIDENCE,
    )


def _run_null_control(game: _Game, rng: np.random.Generator) -> dict:
    """The attack when "synthetic" is fresh real rows: half the reference patients' records."""
    patients = np.unique(game.reference_patients)
    half = rng.permutation(patients)[: len(patients) // 2]
    fresh = np.isin(game.reference_patients, half)
    return run_attack(
        ATTACKS[NULL_ATTACK],
        game.members,
        game.nonmembers,
        game.reference[fresh],
        game.reference[~fresh],
        rng=rng,
        confidence=CONTROL_CONFIDENCE,
    )


def _run_planted_leak(game: _Game, share: float, rng: np.random.Generator) -> dict:
    """Copies the records of a share of the members over random synthetic rows and attacks.

    Runs the two distance attacks and returns the one with the smaller p-value, multiplied by
    the number of tests in the audit: what this finds, the audit's Holm rule finds as well.
    """
    patients = np.unique(game.members.patients)
    planted = rng.choice(patients, max(1, round(share * len(patients))), replace=False)
    copied = game.members.features[np.isin(game.members.patients, planted)]
    synthetic = game.synthetic.copy()
    places = rng.permutation(len(synthetic))[: len(copied)]
    synthetic[places] = copied[: len(places)]
    results = {
        name: run_attack(
            ATTACKS[name], game.members, game.nonmembers, synthetic, game.reference, rng=rng
        )
        for name in PLANT_ATTACKS
    }
    best = min(results, key=lambda name: results[name]["p_value"])
    adjusted = min(1.0, _TESTS * results[best]["p_value"])
    return {
        **results[best],
        "attack": best,
        "planted_share": len(planted) / len(patients),
        "planted_rows": len(places),
        "p_value_adjusted": adjusted,
        "detected": adjusted < ALPHA,
    }


def _smallest_detectable(game: _Game) -> float:
    """At the level that is left to one of the two tests of one attack."""
    alpha = ALPHA / (2 * _TESTS)
    return minimum_detectable_tpr(game.patients, game.patients, alpha=alpha)


def _check_validity(game: _Game, controls: Mapping[str, dict]) -> list[str]:
    """Reasons why the numbers cannot be read at all."""
    reasons = []
    if game.overlap:
        reasons.append(
            f"{game.overlap} patients appear in more than one of train, test and reference."
        )
    blind = controls["blind"]["auc"]
    if blind["lower"] > 0.5:
        reasons.append(
            "Train and test differ by themselves: a classifier that never saw the synthetic data "
            f"tells them apart with AUC {blind['value']:.3f} (99% interval {blind['lower']:.3f} "
            f"to {blind['upper']:.3f})."
        )
    null = controls["null"]["auc"]
    if not null["lower"] <= 0.5 <= null["upper"]:
        reasons.append(
            "The attack finds members where nothing was learnt from them (fresh real rows): AUC "
            f"{null['value']:.3f} (99% interval {null['lower']:.3f} to {null['upper']:.3f})."
        )
    return reasons


def _check_power(game: _Game, controls: Mapping[str, dict]) -> list[str]:
    """Reasons why finding nothing would mean little."""
    reasons = []
    if game.patients < MIN_POWER_PATIENTS:
        reasons.append(
            f"Only {game.patients} {game.unit}s on each side; at least {MIN_POWER_PATIENTS} are "
            "needed to see a leak of a few percent."
        )
    if not controls["leak"]["detected"]:
        reasons.append(
            f"A planted leak, the copied records of {controls['leak']['planted_share']:.0%} of the "
            f"members, was not found (adjusted p = {controls['leak']['p_value_adjusted']:.3f})."
        )
    return reasons


def _format_p(p_value: float) -> str:
    return f"p = {p_value:.2g}" if p_value >= 1e-12 else "p < 1e-12"


def _describe_leaks(attacks: Mapping[str, dict], copies: dict, unit: str) -> list[str]:
    reasons = []
    for name, result in attacks.items():
        if result["p_value_holm"] < ALPHA:
            tpr = result["tpr_at_1pct_fpr"]
            reasons.append(
                f"Attack {name}: AUC {result['auc']['value']:.3f}; finds {tpr['value']:.1%} of the "
                f"member {unit}s at 1% false alarms (95% interval {tpr['lower']:.1%} to "
                f"{tpr['upper']:.1%}); adjusted {_format_p(result['p_value_holm'])}."
            )
    if copies["p_value_holm"] < ALPHA:
        reasons.append(
            f"{copies['train_share']:.1%} of the training rows reappear exactly, against "
            f"{copies['holdout_share']:.1%} of the held-out rows; adjusted "
            f"{_format_p(copies['p_value_holm'])}."
        )
    return reasons


def _decide(
    game: _Game, attacks: Mapping[str, dict], controls: Mapping[str, dict], copies: dict
) -> tuple[str, list[str]]:
    invalid = _check_validity(game, controls)
    leaks = _describe_leaks(attacks, copies, game.unit)
    weak = _check_power(game, controls)
    if invalid:
        return "INVALID", invalid
    if leaks:
        return "LEAK DETECTED", leaks
    if weak:
        return "INCONCLUSIVE", weak
    smallest = _smallest_detectable(game)
    found = "also found" if controls["leak_small"]["detected"] else "not found"
    return "NO LEAK DETECTED", [
        f"No attack tells members from non-members ({game.patients} {game.unit}s on each side, "
        f"smallest adjusted p = {min(r['p_value_holm'] for r in attacks.values()):.2f}).",
        f"A planted leak of 10% of the members was found; one of 1% was {found}.",
        f"Had one attack scored {smallest:.1%} of the members above all others, the audit would "
        "have found it 4 times in 5.",
        "Attacks give a lower bound: this does not prove that no other attack succeeds.",
    ]


def audit(
    train: pd.DataFrame,
    test: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
) -> dict:
    """Attacks `synthetic` and says what that shows.

    train: rows the generator learnt from. test and reference: rows of other patients, drawn
    like train and disjoint from it and from each other; the attacker sees `reference`.
    Members are as many train patients as there are test patients (at most 5000 a side).

    The verdict is the first that applies: INVALID (parts share patients, train and test differ
    by themselves, or the null control fails), LEAK DETECTED (Holm-adjusted p < 0.05 of any
    attack or of the exact copies), INCONCLUSIVE (under 1000 patients a side, or a planted leak
    of 10% goes unseen), NO LEAK DETECTED. `reasons` gives the numbers in words.
    """
    tables = {"train": train, "test": test, "reference": reference, "synthetic": synthetic}
    for part, df in tables.items():
        check_table(df, schema, f"{part} table")
    rng = np.random.default_rng(seed)
    game = _set_up(tables, schema, rng)
    attacks = {
        name: run_attack(
            attack, game.members, game.nonmembers, game.synthetic, game.reference, rng=rng
        )
        for name, attack in ATTACKS.items()
    }
    copied = row_keys(synthetic, schema)
    copies = compare_copies(game.members, game.nonmembers, game.synthetic, copied, rng)
    adjusted = holm({**{k: v["p_value"] for k, v in attacks.items()}, "copies": copies["p_value"]})
    copies["p_value_holm"] = adjusted.pop("copies")
    for name, p_value in adjusted.items():
        attacks[name]["p_value_holm"] = p_value
    controls = {
        "null": _run_null_control(game, rng),
        "leak": _run_planted_leak(game, 0.10, rng),
        "leak_small": _run_planted_leak(game, 0.01, rng),
        "blind": _run_blind_control(game, rng),
    }
    verdict, reasons = _decide(game, attacks, controls, copies)
    return {
        "unit": game.unit,
        "members": game.patients,
        "nonmembers": game.patients,
        "reference_rows": len(game.reference),
        "synthetic_rows": len(game.synthetic),
        "attacks": attacks,
        "controls": controls,
        "copies": copies,
        "minimum_detectable_tpr": _smallest_detectable(game),
        "verdict": verdict,
        "reasons": reasons + game.notes,
    }
