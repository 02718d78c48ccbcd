"""Canaries of histograms and pair tables: an invented patient, by a coin in or out of a release.

One canary per release, and many releases with noise of their own: all patients move the same scores
of pairs, so canaries that share a release could not be told apart by them. It has twice the rows
that are allowed, all the same, each value on a spike: so it moves every release by as much as the
ledger claims that anybody can. Around it are patients like it and patients at the other end of each
column, so many that spikes and pairs are found. The attacker knows them, so their number makes no
difference. He weighs the noisy values, as released and before anything is made of them, by the
likelihood ratio, and guesses the coin: a bound by right guesses in independent runs comes near the
claim, while that of many canaries in one run (`rejects_curve`) stays far below.
"""

import time

import numpy as np
import pandas as pd
from _canaries import describe_bounds

from synthdiff._progress import track
from synthdiff.data.dtypes import to_values
from synthdiff.data.private import Grid
from synthdiff.data.private_tree import count_pair, expect_pair, score_pair
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.epsilon import bound_by_trials, guess_trials
from synthdiff.private_run import Releases, release_tables
from synthdiff.train.dp import DpConfig, PrivacyPlan
from synthdiff.train.privacy_engine import compute_epsilon, make_event

HISTOGRAMS, SCORES, TABLES, ALL = "histograms", "scores of pairs", "tables of pairs", "all of these"
SCHEMA = Schema(
    (
        Column("age", "continuous", "float64", lower=0.0, upper=110.0, public=True),
        Column("visits", "integer", "int64", lower=0, upper=40, step=1, public=True),
        Column("seen", "datetime", "datetime64[s]", lower=18_000, upper=18_800, step=1,
               public=True),
        Column("sex", "categorical", "object", ("F", "M", "X"), public=True),
        Column("stage", "ordinal", "object", ("I", "II", "III", "IV"), public=True),
        Column("died", "boolean", "object", ("no", "yes"), public=True),
    ),
    target="died",
)  # fmt: skip
ENDS = pd.DataFrame(  # of every column: the lower bound or first level, the upper or last
    {
        "age": [0.0, 110.0],
        "visits": [0, 40],
        "seen": pd.to_datetime([18_000, 18_800], unit="D"),
        "sex": ["F", "X"],
        "stage": ["I", "IV"],
        "died": ["no", "yes"],
    }
)
CROWD = 200  # patients at either end, all known to the attacker
FEWEST = 5  # patients of whom a category is learnt, which counts with noise do not use


def audit_tables(
    dp: DpConfig, plan: PrivacyPlan, releases: int, alpha: float, secret: int
) -> list[dict]:
    """Claim and bounds of each release of a private run, and of all together.

    Coins and noise are the secret's. A true claim of any is contradicted in at most alpha of runs.
    """
    started, rng = time.monotonic(), np.random.default_rng([secret, 2])
    included = rng.random(releases) < 0.5
    sigmas = {HISTOGRAMS: plan.codec_sigma}
    if plan.tree_sigma:
        sigmas |= {SCORES: plan.tree_sigma, TABLES: plan.tree_sigma}
        sigmas[ALL] = sum(sigma**-2 for sigma in sigmas.values()) ** -0.5
    found = run_trials(dp, plan, included, rng)
    ideal, third = (simulate_trials(sigmas, included, noise, rng) for noise in (1.0, 1 / 3))
    rows = []
    for name, sigma in sigmas.items():
        bounds = tuple(
            bound_by_trials(*guess_trials(scores[name], included), dp.delta, alpha / len(sigmas))
            for scores in (found, ideal, third)
        )
        claimed = compute_epsilon(make_event(0.0, 0.0, 0, sigma), dp.delta)
        rows.append(describe_bounds(name, claimed, bounds, (sigma, 1.0, 1), releases, started))
    return rows


def run_trials(
    dp: DpConfig, plan: PrivacyPlan, included: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Log-likelihood ratios of "was in", by release [trials], from `release_tables` itself."""
    most = dp.max_rows_per_patient
    table = ENDS.iloc[np.repeat([0, 1, 0], [CROWD * most, CROWD * most, 2 * most])]
    patients = np.minimum(np.arange(len(table)) // most, 2 * CROWD)  # the last is the canary
    known, moved = CROWD * count_cells(ENDS), count_cells(ENDS[:1])
    scores = []
    for coin in track(included, "releases with canaries", "release"):
        rows, secret = len(table) - 2 * most * (not coin), int(rng.integers(1 << 62))
        found = release_tables(table[:rows], patients[:rows], SCHEMA, dp, plan, FEWEST, secret)
        scores.append(score_releases(found, known, moved))
    return {name: np.array([each[name] for each in scores]) for name in scores[0]}


def count_cells(rows: pd.DataFrame) -> np.ndarray:
    """What rows add to all histograms, one after the other."""
    counts = [Grid.of(c).count(to_values(rows[c.name], c)) for c in SCHEMA.features]
    return np.concatenate(counts)


def score_releases(found: Releases, known: np.ndarray, moved: np.ndarray) -> dict[str, float]:
    """The log-likelihood ratio of each release, by the noise that the ledger claims, and their sum.

    known: counts of all others. moved: those of the canary.
    """
    noise = [entry["noise_std_patients"] for entry in found.ledger]
    scores = {HISTOGRAMS: weigh(np.concatenate(found.histograms) - known, moved, noise[0])}
    if pairs := found.pairs:
        sizes = pairs.layout.cardinalities
        codes = found.codec.encode(ENDS, np.random.default_rng(0))[1]
        cells = {pair: tuple(codes[0, list(pair)]) for pair in {*pairs.pairs, *pairs.tables}}
        others = {pair: CROWD * count_pair(codes, pair, sizes) for pair in cells}
        excess = [(noisy - others[pair])[cells[pair]] for pair, noisy in pairs.tables.items()]
        shifts, moves = [], []
        for pair, noisy in zip(pairs.pairs, pairs.scores, strict=True):
            expected, cell = expect_pair(pairs.margins, pair, pairs.total), cells[pair]
            shifts.append(noisy - score_pair(others[pair], expected))
            gap = others[pair][cell] - expected[cell]
            moves.append(abs(gap + 1.0) - abs(gap))
        scores[SCORES] = weigh(np.array(shifts), np.array(moves), noise[1])
        scores[TABLES] = weigh(np.array(excess), np.ones(len(excess)), noise[2])
        scores[ALL] = sum(scores.values())
    return scores


def weigh(excess: np.ndarray, moved: np.ndarray, noise: float) -> float:
    """log N(excess; moved, noise^2) - log N(excess; 0, noise^2)."""
    return float((excess - moved / 2.0) @ moved) / noise**2 if len(moved) else 0.0


def simulate_trials(
    sigmas: dict[str, float], included: np.ndarray, noise: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What `run_trials` finds if all is as claimed but for `noise` times as much of it."""
    scores = {}
    for name, sigma in sigmas.items():
        if name != ALL:
            seen = included + noise * sigma * rng.normal(size=len(included))
            scores[name] = (seen - 0.5) / sigma**2
    return scores | {ALL: sum(scores.values())}
