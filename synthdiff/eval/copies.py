"""Do training rows come back in the synthetic table: exactly, or nearly?"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from synthdiff.eval import statistics
from synthdiff.eval.game import Game
from synthdiff.eval.membership import Side, score_sides
from synthdiff.eval.neighbours import nearest
from synthdiff.eval.risk import compare_rates

NEAR_SHARE = 0.01
LISTED = 10


def _count_reappearing(keys: np.ndarray, copies: np.ndarray) -> int:
    """Rows that can be paired off with equal synthetic rows, one each; copies [levels]."""
    return int(np.minimum(np.bincount(keys, minlength=len(copies)), copies).sum())


def _closer_to_members(
    synthetic: np.ndarray, members: Side, nonmembers: Side, rng: np.random.Generator
) -> dict:
    """Share of synthetic rows nearer to a member's row than to a non-member's; ties count half.

    The interval takes the synthetic rows around one real patient as one cluster.
    """
    size = min(len(members.features), len(nonmembers.features))
    found, names = [], []
    for offset, side in enumerate((members, nonmembers)):
        kept = rng.permutation(len(side.features))[:size]
        squares, ids = nearest(synthetic, side.features[kept], 1)
        found.append(squares[:, 0])
        patients = np.unique(side.patients, return_inverse=True)[1]
        names.append(2 * patients[kept[ids[:, 0]]] + offset)
    wins = (found[0] < found[1]) + 0.5 * (found[0] == found[1])
    value = float(wins.mean())
    clusters = np.unique(np.where(found[0] <= found[1], *names), return_inverse=True)[1]
    spread = np.sqrt(np.sum(np.bincount(clusters, wins - value) ** 2)) / len(wins)
    margin = norm.ppf(0.975) * spread
    return statistics.interval(value, max(0.0, value - margin), min(1.0, value + margin))


def compare_copies(
    members: Side,
    nonmembers: Side,
    synthetic: np.ndarray,
    synthetic_keys: np.ndarray,
    rng: np.random.Generator,
) -> dict:
    """Exact copies of member rows against those of non-member rows, as many patients each.

    train_share, holdout_share: share of the side's rows that reappear in the synthetic table,
    each paired with a synthetic row of its own, so a copied table of few distinct rows stands
    out too. p_value: one-sided permutation of patients between the sides, of which there
    are enough that it can reject among a hundred tests. A smoke test: most leaks are not copies.
    """
    sides = (members, nonmembers)
    keys = np.concatenate([members.keys, nonmembers.keys])
    levels, keys = np.unique(keys, return_inverse=True)
    slots = np.searchsorted(levels, synthetic_keys).clip(max=len(levels) - 1)
    copies = np.bincount(slots[levels[slots] == synthetic_keys], minlength=len(levels))
    cut = len(members.keys)
    observed = [_count_reappearing(side, copies) for side in (keys[:cut], keys[cut:])]
    names = [np.unique(side.patients, return_inverse=True)[1] for side in sides]
    sizes = [int(side.max()) + 1 for side in names]
    patients = np.concatenate([names[0], names[1] + sizes[0]])
    relevant = copies[keys] > 0
    keys, patients = keys[relevant], patients[relevant]

    def permute() -> int:
        first = (rng.permutation(sum(sizes)) < sizes[0])[patients]
        return _count_reappearing(keys[first], copies) - _count_reappearing(keys[~first], copies)

    return {
        "train_share": observed[0] / len(members.keys),
        "holdout_share": observed[1] / len(nonmembers.keys),
        "p_value": statistics.permutation_p_value(observed[0] - observed[1], permute),
        "closer_to_train_share": _closer_to_members(synthetic, members, nonmembers, rng),
    }


def compare_near_copies(game: Game) -> dict:
    """Patients with a record that some synthetic row all but repeats, members against others.

    Near: within the distance that 1% of the held-out rows keep to the nearest real row of another
    patient (the reference), so it is closer than strangers come. The held-out patients are the
    control, the reference in the place of the synthetic table the baseline. In a table of few
    distinct rows strangers tie at distance 0: then this says nothing and `compare_copies`, which
    pairs rows one by one, is the test.
    """
    cut = len(game.members.features)
    near = float(np.quantile(game.view.reference_gap[cut:], NEAR_SHARE))
    sides = game.members, game.nonmembers
    members, others = score_sides(game.view.synthetic_gap <= near, *sides)
    strangers = score_sides(game.view.reference_gap <= near, *sides)[0]
    baseline = statistics.wilson_interval(int(strangers.sum()), len(strangers))
    return {"distance": near} | compare_rates(members > 0, others > 0, baseline)


def list_nearest(game: Game) -> list[dict]:
    """The ten training rows that a synthetic row comes closest to: row numbers and distances only.

    For the eyes of the data holder: such a list, published, is an oracle for reconstruction.
    """
    gaps, ids = game.view.synthetic_nearest
    gaps = gaps[: len(game.members.features)]
    order = np.argsort(gaps, kind="stable")[:LISTED]
    return [
        {
            "train_row": int(game.member_rows[row]),
            "synthetic_row": int(game.synthetic_rows[ids[row]]),
            "distance": float(gaps[row]),
            "distance_to_reference": float(game.view.reference_gap[row]),
        }
        for row in order
    ]
