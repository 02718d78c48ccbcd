"""What a private run claims beside what canaries found: in numbers, and in words for its readers.

Canaries are invented patients whom an attacker tries to find in what the run releases (the script
validate_dp.py). They bound epsilon from below, where the account bounds it from above.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy.special import expit

HOW = (
    "Run experiments/validate_dp.py on the run folder, which takes minutes and looks at no "
    "patient, then experiments/report.py."
)
COLUMNS = ("Release", "Claimed epsilon", "Lower bound found", "If all is as claimed",
           "At a third of the noise", "Canaries")  # fmt: skip
_KEYS = ("release", "claimed epsilon", "lower bound", "bound if all is as claimed",
         "bound at a third of the noise", "canaries")  # fmt: skip


def summarise_claim(manifest: Mapping, canaries: Mapping | None) -> dict:
    """What the canaries of a private run found of it as a whole, or {"skipped": why}.

    lower, ideal, third: the highest bound of any release, found, if all is as claimed and at a
    third of the noise. contradicted: releases whose bound is above their claim. unseen: those where
    a third of the noise would not be. same_code: whether canaries and training were of one commit.
    """
    account = manifest["differential_privacy"]
    if not canaries:
        return {"skipped": "canaries were not run"}
    if canaries.get("account") != account:
        return {"skipped": "the canaries are of another run or other settings"}
    names, claims, found, ideal, third, _ = zip(*map(_read_row, canaries["rows"]), strict=True)
    claims = tuple(min(claim, account["epsilon"]) for claim in claims)
    return {
        "lower": max(found),
        "ideal": max(ideal),
        "third": max(third),
        "contradicted": [
            n for n, c, bound in zip(names, claims, found, strict=True) if not bound <= c
        ],
        "unseen": [n for n, c, bound in zip(names, claims, third, strict=True) if bound <= c],
        "same_code": canaries["commit"] == manifest.get("git_revision"),
    }


def _read_row(row: Mapping) -> tuple:
    return tuple(row[key] for key in _KEYS)


def list_bounds(manifest: Mapping, canaries: Mapping | None) -> list[list[str]]:
    """A row under COLUMNS for each release; none where there are no canaries of this run."""
    if not canaries or "skipped" in summarise_claim(manifest, canaries):
        return []
    rows = map(_read_row, canaries["rows"])
    return [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in row] for row in rows]


def describe_claim(manifest: Mapping, canaries: Mapping | None) -> dict[str, str]:
    """A few sentences for each kind of reader: clinicians, privacy officers, researchers."""
    account, found = manifest["differential_privacy"], summarise_claim(manifest, canaries)
    return {
        "For clinicians": f"{_promise(account)} {_tell_clinicians(found)}",
        "For privacy officers": f"{_state(account)} {_tell_officers(found)}",
        "For researchers": _tell_researchers(found),
    }


def _promise(account: Mapping) -> str:
    return (
        "Whoever holds it as likely as not that a patient was learnt from may, with the table or "
        f"the model in hand, become at most {_say_sure(account['epsilon'])} of it, whatever else "
        "they know; rare chances aside. That is the promise."
    )


def _say_sure(epsilon: float) -> str:
    """How sure somebody may become, of what seemed as likely as not."""
    share = float(expit(epsilon))
    digits = 0 if share < 0.995 else 1
    return f"{share:.{digits}%} sure" if share < 0.9995 else "practically sure"


def _tell_clinicians(found: Mapping) -> str:
    if "skipped" in found:
        return "Nobody has tried yet to break it."
    if found["contradicted"]:
        return (
            "An attack on invented patients found more than is promised, so do not rely on it. "
            "Keep the table as you keep the real data."
        )
    return (
        f"An attack on invented patients made its attacker at least {_say_sure(found['lower'])}: "
        "that is within the promise, and does not prove it."
    )


def _state(account: Mapping) -> str:
    return f"Claimed: epsilon {account['epsilon']:.3g} at delta {account['delta']:.1g} per patient."


def _tell_officers(found: Mapping) -> str:
    if "skipped" in found:
        return f"No lower bound stands beside it: {found['skipped']}, so release.py refuses."
    words = [
        f"An attack shows that it is at least {found['lower']:.3g} (95% confidence); it would "
        f"find {found['ideal']:.3g} where all is as claimed and {found['third']:.3g} at a third of "
        "the noise."
    ]
    if found["contradicted"]:
        names = ", ".join(found["contradicted"])
        words.append(f"The claim is false ({names}): release nothing that was made with it.")
    else:
        words.append("Nothing contradicts the claim; a small fault would not show.")
    if found["unseen"]:
        names = ", ".join(found["unseen"])
        words.append(f"Nor would a third of the noise in {names}, unless with more canaries.")
    if not found["same_code"]:
        words.append("The canaries ran with another version of the code than the training.")
    return " ".join(words)


def _tell_researchers(found: Mapping) -> str:
    if "skipped" in found:
        return "The upper bound is that of the accountant; the ledger lists what it adds up."
    return (
        "The private code ran again with the run's settings, number of patients and noise, on "
        "other columns and rows and with another secret. Each canary moves a release by all that "
        "the ledger claims, and is in or out by a coin. Histograms and pair tables: one canary in "
        "each of many releases, right guesses by likelihood ratio, Clopper-Pearson, through the "
        "trade-off of a Gaussian mechanism. Gradients: all canaries in one run, seen at every "
        "step, against the steps' whole trade-off curve (f-DP), single rates and epsilon alone. "
        "All bounds share an error of 5%. Of many canaries in one run the bound stays far below "
        "epsilon also where all is as claimed; both references beside it are simulated."
    )
