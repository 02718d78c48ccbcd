"""Flags that say that the rows of a patient are its visits, and what became of these."""

from dataclasses import replace

import pandas as pd
from absl import flags

from synthdiff.data.schema import Schema
from synthdiff.data.visits import VisitPlan, count_cut


def define_flags() -> None:
    flags.DEFINE_string("visits", None, "column that orders a patient's rows: they are visits")
    flags.DEFINE_string("visit_group", None, "whose visits, where finer than --entity: a person")
    flags.DEFINE_integer(
        "max_visits", None, "visits kept; default: as many as 95% of patients have"
    )


def name_roles(schema: Schema, spec: dict) -> Schema:
    """The schema with the roles that --visits and --visit_group give."""
    if group := spec.get("visit_group"):
        schema = schema.edit(group, kind="group")
    return replace(schema, order=spec["visits"]) if spec.get("visits") else schema


def describe_plan(plan: VisitPlan, table: pd.DataFrame) -> str:
    """How the visits of a table became records, and what of them was cut."""
    found = count_cut(table, plan)
    return (
        f"{found['patients']} patients with up to {plan.max_visits} visits in "
        f"{len(plan.wide.features)} columns; {found['cut']} patients lose {found['visits']} later "
        "visits (--max_visits)"
    )
