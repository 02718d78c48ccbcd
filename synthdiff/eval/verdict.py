"""What the audit's numbers mean: the verdict and its reasons."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.controls import ALPHA, CONTROL_CONFIDENCE, TESTS
from synthdiff.eval.disclosure import list_tested
from synthdiff.eval.game import Game
from synthdiff.eval.statistics import minimum_detectable_tpr

MIN_POWER_PATIENTS = 1000
WORKING_AUC = 0.6
VERDICTS = ("INVALID", "LEAK DETECTED", "INCONCLUSIVE", "NO LEAK DETECTED")  # the worst first


def smallest_detectable(game: Game, tests: int = TESTS) -> float:
    """Smallest exposed share of members found 4 times in 5, after Holm and both tests."""
    alpha = ALPHA / (2 * tests)
    return minimum_detectable_tpr(game.patients, game.patients, alpha=alpha)


def _check_validity(game: Game, controls: Mapping[str, dict]) -> list[str]:
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
    null, attack = controls["null"]["auc"], controls["null"]["attack"].replace("_", " ")
    if not null["lower"] <= 0.5 <= null["upper"]:
        reasons.append(
            f"Attack {attack} finds members where nothing was learnt from them (fresh real "
            f"rows): AUC {null['value']:.3f} (interval {null['lower']:.3f} to "
            f"{null['upper']:.3f}, 99% for all attacks at once)."
        )
    elif controls["null"]["p_value_adjusted"] < 1 - CONTROL_CONFIDENCE:
        reasons.append(
            "An attack finds some members where nothing was learnt from them (fresh real rows): "
            f"adjusted {_format_p(controls['null']['p_value_adjusted'])}."
        )
    return reasons


def _check_power(game: Game, controls: Mapping[str, dict]) -> list[str]:
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


def join_verdicts(rows: Mapping, whole: Mapping) -> dict:
    """The worse verdict of the audits of rows and of whole patients, with the reasons for it."""
    worst = min(rows["verdict"], whole["verdict"], key=VERDICTS.index)
    reasons = list(rows["reasons"]) if rows["verdict"] == worst else []
    if whole["verdict"] == worst:
        reasons += [f"Whole patients: {reason}" for reason in whole["reasons"]]
    return {"verdict": worst, "reasons": reasons, "verdict_of_rows": rows["verdict"]}


def _format_p(p_value: float) -> str:
    return f"p = {p_value:.2g}" if p_value >= 1e-12 else "p < 1e-12"


def _describe_attacks(attacks: Mapping[str, dict], unit: str, whose: str = "") -> list[str]:
    reasons = []
    for name, result in attacks.items():
        if result["p_value_holm"] < ALPHA:
            tpr = result["tpr_at_1pct_fpr"]
            reasons.append(
                f"Attack {name.replace('_', ' ')}{whose}: AUC {result['auc']['value']:.3f}; "
                f"finds {tpr['value']:.1%} of the member {unit}s at 1% false alarms "
                f"(95% interval {tpr['lower']:.1%} to {tpr['upper']:.1%}); "
                f"adjusted {_format_p(result['p_value_holm'])}."
            )
    return reasons


def _describe_members(found: Mapping, unit: str) -> list[str]:
    """The attacks that tell members, on all patients or on a stratum."""
    reasons = _describe_attacks(found["attacks"], unit)
    for stratum, result in found["strata"].items():
        reasons += _describe_attacks(result.get("attacks", {}), unit, f" on {stratum} only")
    return reasons


def _describe_leaks(found: Mapping, unit: str) -> list[str]:
    reasons, copies = _describe_members(found, unit), found["copies"]
    if copies["p_value_holm"] < ALPHA:
        reasons.append(
            f"{copies['train_share']:.1%} of the training rows reappear exactly, against "
            f"{copies['holdout_share']:.1%} of the held-out rows; adjusted "
            f"{_format_p(copies['p_value_holm'])}."
        )
    for name, risk in list_tested(found.get("disclosure") or {}).items():
        if risk["p_value_holm"] < ALPHA:
            reasons.append(
                f"{name[0].upper()}{name[1:]} succeeds on {risk['attack']['value']:.1%} of the "
                f"training patients and on {risk['control']['value']:.1%} of the held-out ones; "
                f"adjusted {_format_p(risk['p_value_holm'])}."
            )
    return reasons


def decide_whitebox(
    game: Game, verdict: str, found: Mapping, about: Mapping
) -> tuple[str, list[str]]:
    """The verdict on handing out the model itself; `verdict` is the one on the table.

    found: "attacks" and "strata", with Holm-adjusted p-values.
    about["shadow_auc"]: AUC of each attack on shadow models, which remember their patients. Where
    no attack of those tried on the model reaches WORKING_AUC even there, finding nothing means
    nothing; what only shadow models allow, such as online LiRA, does not count.
    """
    if verdict == "INVALID":
        return verdict, ["The split or a control fails, so these numbers cannot be read either."]
    attacks, leaks = found["attacks"], _describe_members(found, game.unit)
    if leaks:
        return "LEAK DETECTED", leaks
    weak = []
    if game.patients < MIN_POWER_PATIENTS:
        weak.append(f"Only {game.patients} {game.unit}s on each side.")
    best = max((a for name, a in about["shadow_auc"].items() if name in attacks), default=0.5)
    if best < WORKING_AUC:
        weak.append(f"On shadow models with known members no attack exceeds AUC {best:.3f}.")
    if weak:
        return "INCONCLUSIVE", weak
    return "NO LEAK DETECTED", [
        f"No attack on the model tells members from non-members (smallest adjusted p = "
        f"{min(r['p_value_holm'] for r in attacks.values()):.2f}).",
        f"On shadow models with known members the best attack reaches AUC {best:.3f}.",
    ]


def decide(
    game: Game, found: Mapping, controls: Mapping[str, dict], tests: int = TESTS
) -> tuple[str, list[str]]:
    """The verdict and the reasons for it, in words.

    found: "attacks", "copies", "strata" and perhaps "disclosure", with Holm-adjusted p-values.
    """
    invalid, attacks = _check_validity(game, controls), found["attacks"]
    leaks = _describe_leaks(found, game.unit)
    weak = _check_power(game, controls)
    if invalid:
        return "INVALID", invalid
    if leaks:
        return "LEAK DETECTED", leaks
    if weak:
        return "INCONCLUSIVE", weak
    smallest = smallest_detectable(game, tests)
    small = "also found" if controls["leak_small"]["detected"] else "not found"
    return "NO LEAK DETECTED", [
        f"No attack tells members from non-members ({game.patients} {game.unit}s on each side, "
        f"smallest adjusted p = {min(r['p_value_holm'] for r in attacks.values()):.2f}).",
        f"A planted leak of 10% of the members was found; one of 1% was {small}.",
        f"Had one attack scored {smallest:.1%} of the members above all others, the audit would "
        "have found it 4 times in 5.",
        "Attacks give a lower bound: this does not prove that no other attack succeeds.",
    ]
