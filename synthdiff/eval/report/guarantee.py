"""The section on a private run's claim: what it means, and what canaries found."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.claim import COLUMNS, describe_claim, list_bounds
from synthdiff.eval.policy import judge_claim
from synthdiff.eval.report.disclosure import TONES
from synthdiff.eval.report.markup import Html, remark, section, table, tag


def write_guarantee(manifest: Mapping, canaries: Mapping | None) -> Html:
    """The gate, words for three readers, and every release; of a private run only."""
    title = "Guarantee: does the claimed epsilon hold?"
    (gate,) = judge_claim(manifest, canaries)
    tone = TONES.get(gate["status"], "warn")
    note = remark(tag("strong", gate["status"]), f": {gate['reason']}", tone=tone)
    words = [
        tag("p", tag("strong", f"{who}. "), text)
        for who, text in describe_claim(manifest, canaries).items()
    ]
    caption = (
        "Epsilon of each release: claimed, and the lower bound that invented patients (canaries) "
        "found. A bound above the claim shows that the claim is false; one below shows no more "
        "than that. Beside it stands what the same audit finds where all is as claimed, and at a "
        "third of the noise: how gross a fault it would see."
    )
    rows = list_bounds(manifest, canaries)
    return section("Guarantee", title, note, *words, *[table(caption, COLUMNS, rows)] * bool(rows))
