"""One self-contained HTML page about a synthetic table: fidelity, utility, privacy, provenance.

It is built from aggregate results only: no function here is ever given a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from synthdiff._files import write_atomically
from synthdiff.data.schema import Schema
from synthdiff.eval.policy import add_run, judge_claim
from synthdiff.eval.report.codes import write_codes, write_diversity
from synthdiff.eval.report.fidelity import write_fidelity
from synthdiff.eval.report.formats import Result
from synthdiff.eval.report.frontier import write_frontier
from synthdiff.eval.report.groups import write_groups
from synthdiff.eval.report.guarantee import write_guarantee
from synthdiff.eval.report.markup import page, tag
from synthdiff.eval.report.privacy import write_privacy
from synthdiff.eval.report.provenance import (
    find_fact,
    write_head,
    write_limits,
    write_provenance,
    write_training,
)
from synthdiff.eval.report.summary import write_sharing, write_terms
from synthdiff.eval.report.tiles import draw_tiles
from synthdiff.eval.report.trajectory import write_trajectory
from synthdiff.eval.report.utility import write_utility
from synthdiff.eval.report.visits import write_visits

_SECTIONS = (
    *("Limits", "Fidelity", "Utility", "Groups", "Diversity", "Codes", "Visits"),
    *("Privacy", "Guarantee", "Frontier", "Training", "Trajectory", "Provenance"),
)


def write_report(
    path: str | Path,
    *,
    manifest: Mapping,
    schema: Schema,
    evaluation: Result,
    audit: Result,
    training: Sequence[Mapping] | None,
    trajectory: Mapping | None = None,
    frontier: Mapping | None = None,
    canaries: Mapping | None = None,
) -> None:
    """Writes the report as one HTML file that needs no network and no script.

    manifest: as `train.manifest.describe_run` gives it, plus a "dataset" name. "date" (or
      "created"), "commit" (or "git_revision") and "seed" (or "seeds") go to the head of the
      page; a "differential_privacy" that is not empty replaces "none was used".
    evaluation, audit: the result dictionaries; a metric may be {"skipped": reason}.
    training: rows {"step", "loss", ...} as train.loop writes them.
    trajectory: as `summarise_states` gives it, of the model that made the table; a table that
      came alone has none, and no section for it.
    frontier: as `summarise_frontier` gives it; no section without it.
    canaries: the record of validate_dp.py on this run, if it is private; the section on its
      guarantee says where there is none.
    Any other None section says that it was not run.
    """
    private = bool(manifest.get("differential_privacy"))
    absent = {"Trajectory": not trajectory, "Frontier": not frontier, "Guarantee": not private}
    shown = [title for title in _SECTIONS if not absent.get(title)]
    if (audit or {}).get("gates"):
        audit = add_run(audit, manifest, canaries)
    broken = any(gate["status"] == "FAIL" for gate in judge_claim(manifest, canaries))
    links = [tag("a", title, href=f"#{title.lower()}") for title in shown]
    body = (
        write_head(manifest, evaluation),
        write_sharing(audit, broken=broken),
        draw_tiles(evaluation, audit),
        write_terms(),
        tag("nav", *links, aria_label="Sections"),
        write_limits(manifest),
        write_fidelity(evaluation, schema),
        write_utility(evaluation),
        write_groups(evaluation),
        write_diversity(evaluation),
        write_codes(evaluation),
        write_visits(evaluation),
        write_privacy(audit, manifest, schema),
        *((write_guarantee(manifest, canaries),) if private else ()),
        *((write_frontier(frontier, evaluation, audit),) if frontier else ()),
        write_training(training),
        *((write_trajectory(trajectory),) if trajectory else ()),
        write_provenance(manifest, schema),
    )
    title = f"Synthetic data report: {find_fact(manifest, 'Data set')}"
    write_atomically(path, page(title, body).encode())
