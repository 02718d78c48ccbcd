"""What an audit must show before a table may go out: every limit, and where it comes from.

Limits bind the upper end of the 95% interval, so a small audit fails to show what it cannot show.
They are this project's proposals but for 0.09, which has precedents; edit them here and nowhere
else. A gate says PASS, CAUTION, INCONCLUSIVE, FAIL or INVALID, and never that a table is private.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from synthdiff.eval.claim import HOW, summarise_claim
from synthdiff.eval.controls import ALPHA
from synthdiff.eval.disclosure import list_attacks
from synthdiff.eval.lone_rows import RARE
from synthdiff.eval.verdict import MIN_POWER_PATIENTS

STATUSES = ("PASS", "CAUTION", "INCONCLUSIVE", "FAIL", "INVALID")


@dataclass(frozen=True)
class Limit:
    """An upper bound up to `good` passes, up to `bearable` calls for caution."""

    good: float
    bearable: float
    why: str


TPR = Limit(
    0.027,
    0.10,
    "0.027 = e x 1%, the most that an attack on a generator with differential privacy of epsilon 1 "
    "can find at 1% false alarms; 10% is ten times chance",
)
TPR_STRATUM = Limit(
    0.05,
    0.20,
    "twice the limits for everybody, since vulnerable patients are few: with 500 a side, no leak "
    "passes in 99 of 100 audits and a leak of 5% in none (simulated)",
)
AUC = Limit(0.55, 0.60, "chance is 0.5; with 1000 patients a side chance alone stays within 0.525")
RESIDUAL = Limit(
    0.05,
    0.09,
    "0.09 is the identity disclosure limit of US expert determinations (El Emam 2020), from the "
    "smallest publishable cell of 11 people; 0.05 leaves a margin below it",
)
FIRST_OF_ALL = "without it the other numbers cannot be read"
CLAIM = "claimed epsilon"
CLAIM_WHY = (
    "canaries find more than a true claim in at most 5% of audits; they take minutes and no "
    "patient's row, so nobody has to answer for a claim that was not tried: without them it is "
    "INCONCLUSIVE, not CAUTION, and CAUTION where they could not see a third of the noise"
)


@dataclass(frozen=True)
class Gate:
    """One gate's outcome: its status, the numbers behind it and the reason in words."""

    name: str
    status: str
    reason: str
    why: str
    value: float | None = None
    upper: float | None = None
    limit: float | None = None


def _judge(name: str, what: str, estimate: Mapping, limit: Limit, *, few: bool = False) -> Gate:
    """Reads an interval against a limit.

    An interval that reaches above `bearable` but holds `good` too is not evidence of a risk: it
    is INCONCLUSIVE, or CAUTION where the group can only be small (few).
    """
    if "skipped" in estimate:
        status = "CAUTION" if few else "INCONCLUSIVE"
        return Gate(name, status, f"{what} was not measured: {estimate['skipped']}.", limit.why)
    value, upper = estimate["value"], estimate["upper"]
    status, end = "FAIL", f"above the limit of {limit.bearable:g}"
    if upper <= limit.good:
        status, end = "PASS", f"within the limit of {limit.good:g}"
    elif upper <= limit.bearable:
        status, end = "CAUTION", f"above {limit.good:g} and within {limit.bearable:g}"
    elif estimate["lower"] <= limit.good:
        status = "CAUTION" if few else "INCONCLUSIVE"
        end += f", but {estimate['lower']:.3f} is possible too: too few patients to tell"
    reason = f"{what} is {value:.3f}, at most {upper:.3f}: {end}."
    return Gate(name, status, reason, limit.why, value, upper, limit.good)


def _judge_attacks(
    name: str, what: str, attacks: Mapping[str, Mapping], key: str, limit: Limit, **options: bool
) -> Gate:
    """The gate of the attack with the worst status, and of those the highest upper bound.

    Each is judged alone: one of wide interval must not stand in for another that shows a leak.
    """
    gates = [
        _judge(name, f"{what} (attack {attack.replace('_', ' ')})", found[key], limit, **options)
        for attack, found in attacks.items()
    ]
    return max(gates, key=lambda gate: (STATUSES.index(gate.status), gate.upper or 0.0))


def _judge_audit(audit: Mapping, patients: int) -> list[Gate]:
    """Whether the audit can be read, and what it says: validity, verdict and power.

    patients: of each side of the game.
    """
    words = " ".join(audit["reasons"])
    if audit["verdict"] == "INVALID":
        return [Gate("validity", "INVALID", words, FIRST_OF_ALL)]
    gates = [Gate("validity", "PASS", "Every control came out as it should.", FIRST_OF_ALL)]
    leak, why = audit["verdict"] == "LEAK DETECTED", "no table goes out against its audit's verdict"
    reason = words if leak else "The audit detects no leak."
    gates.append(Gate("verdict", "FAIL" if leak else "PASS", reason, why))
    return [*gates, _judge_power(audit, patients)]


def _judge_power(audit: Mapping, patients: int) -> Gate:
    """Whether finding nothing would mean something; the same where something was found."""
    why = "finding nothing means little where planted copies of members are not found"
    found = {size: audit["controls"][size]["detected"] for size in ("leak", "leak_small")}
    weak = [] if found["leak"] else ["The planted leak of 10% of the members was not found."]
    if patients < MIN_POWER_PATIENTS:
        weak.append(f"{patients} patients a side are fewer than {MIN_POWER_PATIENTS}.")
    if weak or audit["verdict"] == "INCONCLUSIVE":
        words = " ".join(weak or audit["reasons"])
        return Gate("power", "INCONCLUSIVE", words, why)
    status = "PASS" if found["leak_small"] else "CAUTION"
    reason = "The planted leak of 1% of the members was " + ("" if found["leak_small"] else "not ")
    return Gate("power", status, f"{reason}found; one of 10% was.", why)


def _judge_membership(audit: Mapping) -> list[Gate]:
    attacks, strata = audit["attacks"], audit.get("strata") or {}
    leaks = _name_leaks(attacks)
    for stratum, result in strata.items():
        leaks += [f"{name} on {stratum}" for name in _name_leaks(result.get("attacks", {}))]
    reason = "No attack tells members from others beyond chance."
    if leaks:
        reason = f"Tells members from others beyond chance: {', '.join(leaks)}."
    why = "a leak of 1% of the members lies within the limits below and shows only in a test"
    what = "The share of members found at 1% false alarms"
    gates = [
        Gate("membership test", "FAIL" if leaks else "PASS", reason, why),
        _judge_attacks("membership TPR", what, attacks, "tpr_at_1pct_fpr", TPR),
        _judge_attacks("membership AUC", "The AUC", attacks, "auc", AUC),
    ]
    if not strata:
        reason = "Vulnerable patients were not looked at apart."
        gates.append(Gate("membership TPR, strata", "INCONCLUSIVE", reason, TPR_STRATUM.why))
    return gates + [_judge_stratum(name, result) for name, result in strata.items()]


def _name_leaks(attacks: Mapping[str, Mapping]) -> list[str]:
    return [name.replace("_", " ") for name, a in attacks.items() if a["p_value_holm"] < ALPHA]


def _judge_stratum(stratum: str, result: Mapping) -> Gate:
    name, what = f"membership TPR, {stratum}", "The share of members found at 1% false alarms"
    if result["members"] + result["nonmembers"] == 0:
        return Gate(name, "PASS", "Nobody belongs to this stratum.", TPR_STRATUM.why)
    if "skipped" in result:
        return _judge(name, what, result, TPR_STRATUM, few=True)
    what += f" among {result['members']} members"
    attacks = result["attacks"]
    return _judge_attacks(name, what, attacks, "tpr_at_1pct_fpr", TPR_STRATUM, few=True)


def _judge_copies(copies: Mapping) -> list[Gate]:
    exact = copies["p_value_holm"] >= ALPHA
    reason = (
        f"{copies['train_share']:.2%} of the training rows and {copies['holdout_share']:.2%} of "
        f"the held-out rows reappear (adjusted p = {copies['p_value_holm']:.3f})."
    )
    why = "held-out rows reappear by chance only; training rows must not do so more often"
    gates = [Gate("exact copies", "PASS" if exact else "FAIL", reason, why)]
    near = copies.get("near", {"skipped": "an older audit, which did not look for them"})
    what = "The excess of training patients with a near copy"
    return [*gates, _judge("near copies", what, near.get("residual", near), RESIDUAL)]


def _judge_lone_rows(found: Mapping | None) -> Gate:
    """Rows of one real patient alone, one by one: none is excused because others came by chance."""
    name = "rows of one patient"
    why = (
        "a row of one patient alone gives that patient away; where real rows like it but for one "
        "cell are many it comes by chance, else somebody has to answer for it"
    )
    if not found:
        reason = "An older audit, which did not look for them."
        return Gate(name, "INCONCLUSIVE", reason, why)
    reason = (
        f"{found['rows']} synthetic rows equal one of a single real patient; {found['rare']} of "
        f"them a fresh table would hold with a chance below {RARE:.0%} each, and of such rows "
        f"{found['rare_expected']:.1f} in all."
    )
    status = "FAIL" if found["copied"] else "CAUTION" if found["rare"] else "PASS"
    return Gate(name, status, reason, why)


def _judge_disclosure(disclosure: Mapping | None) -> list[Gate]:
    if not disclosure:
        reason = "Singling out, linkability and inference were not measured."
        return [Gate("disclosure", "INCONCLUSIVE", reason, RESIDUAL.why)]
    gates = []
    for name, record in list_attacks(disclosure).items():
        estimate = record.get("residual", record)
        gates.append(_judge(name, "The residual risk", estimate, RESIDUAL))
        if "outliers" in record:
            estimate = record["outliers"].get("residual", record["outliers"])
            what = "The residual risk of outliers"
            gates.append(_judge(f"{name}, outliers", what, estimate, RESIDUAL, few=True))
    if not disclosure.get("inference"):
        reason = "No sensitive or target column is declared, so inference was not tested."
        gates.append(Gate("inference", "CAUTION", reason, RESIDUAL.why))
    return gates


def _judge_whole_patients(block: Mapping | None, patients: int) -> list[Gate]:
    """The same gates for whole trajectories, where rows are visits."""
    if not block:
        return []
    if "skipped" in block:
        reason = f"Trajectories were not attacked: {block['skipped']}."
        return [Gate("whole patients", "INCONCLUSIVE", reason, FIRST_OF_ALL)]
    gates = _judge_audit(block, patients)[1:] + _judge_membership(block)
    gates += _judge_copies(block["copies"])
    inferred = block["disclosure"].get("inference")
    # Of columns that change between visits, the audit of rows infers the values.
    gates += [
        g for g in _judge_disclosure(block["disclosure"]) if inferred or g.name != "inference"
    ]
    return [replace(gate, name=f"{gate.name}, whole patients") for gate in gates]


def name_earlier(manifest: Mapping) -> str:
    """The patients of the model that training began at; empty where it began at random weights."""
    begun = manifest.get("start")
    return f"the {begun['patients']} patients of {begun['dataset']}" if begun else ""


def judge_start(manifest: Mapping) -> list[dict]:
    """The gate of a run that began at another model, on whose patients no attack was tried."""
    whose = name_earlier(manifest)
    if not whose:
        return []
    status = "CAUTION"
    reason = f"The model had learnt before from {whose}, on whom no attack was tried."
    if manifest["start"]["differential_privacy"]:
        status, reason = "PASS", f"What the model had learnt from {whose} has differential privacy."
    why = "a table may give away whoever its model has learnt from; public data need no cover"
    return [asdict(Gate("first model", status, reason, why))]


def judge_claim(manifest: Mapping, canaries: Mapping | None) -> list[dict]:
    """The gate of a private run: whether canaries contradict the epsilon that it claims."""
    account = manifest.get("differential_privacy")
    if not account:
        return []
    claimed, found = account["epsilon"], summarise_claim(manifest, canaries)
    if "skipped" in found:
        reason = f"Epsilon {claimed:.3g} is claimed, and {found['skipped']}. {HOW}"
        return [asdict(Gate(CLAIM, "INCONCLUSIVE", reason, CLAIM_WHY, limit=claimed))]
    weak = [f"a third of the noise would not be seen in {name}" for name in found["unseen"]]
    if not found["same_code"]:
        weak.append("canaries and training were of different commits")
    status, end = "PASS", "nothing contradicts it, and a third of the noise would"
    if found["contradicted"]:
        status, end = "FAIL", f"canaries contradict the claim of {', '.join(found['contradicted'])}"
    elif weak:
        status, end = "CAUTION", f"nothing contradicts it, but {', '.join(weak)}"
    reason = f"Epsilon is at least {found['lower']:.3g} and {claimed:.3g} is claimed: {end}."
    return [asdict(Gate(CLAIM, status, reason, CLAIM_WHY, found["lower"], limit=claimed))]


def judge_run(manifest: Mapping, canaries: Mapping | None) -> list[dict]:
    """The gates of how the model was made, which no audit of its table knows."""
    return judge_start(manifest) + judge_claim(manifest, canaries)


def add_run(audit: Mapping, manifest: Mapping, canaries: Mapping | None) -> dict:
    """The audit with the gates of how the model was made after its own."""
    return {**audit, "gates": [*audit["gates"], *judge_run(manifest, canaries)]}


def evaluate_policy(audit: Mapping) -> list[dict]:
    """Every gate's outcome, from the result of `audit.audit`."""
    gates = _judge_audit(audit, audit["members"])
    if gates[0].status != "INVALID":
        gates += _judge_membership(audit) + _judge_copies(audit["copies"])
        gates.append(_judge_lone_rows(audit.get("lone_rows")))
        gates += _judge_disclosure(audit.get("disclosure"))
        gates += _judge_whole_patients(audit.get("whole_patients"), audit["members"])
    return [asdict(gate) for gate in gates]


def worst_status(gates: list[dict]) -> str:
    """The status of the release as a whole: that of its worst gate."""
    return max((gate["status"] for gate in gates), key=STATUSES.index)
