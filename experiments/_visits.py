"""Visits of one patient as one record: between the long tables of a run and the model's wide ones.

A run whose schema names an order of visits trains on one row per patient (see data/visits.py), and
the plan for that, visits.json in the run folder, makes a drawn table long again.
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from absl import flags

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.data.table import write_json
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import VisitPlan, count_cut, narrow, share_filled, widen

PLAN = "visits.json"


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


def widen_run(
    run_dir: Path,
    table: pd.DataFrame,
    schema: Schema,
    *,
    max_visits: int | None,
    min_patients: int,
    private: bool,
    write: bool,
) -> tuple[pd.DataFrame, Schema]:
    """The records to train on and their schema; where rows are visits, `write` writes the plan."""
    if schema.order is None:
        return table, schema
    if private:
        fix = "leave out --visits; rows of a patient are then drawn apart, within the same budget"
        raise input_error("--dp.epsilon", "the plan of visits is read from the table", fix)
    plan = plan_visits(table, schema, max_visits=max_visits, min_patients=min_patients)
    if write:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / PLAN, plan.to_json())
    found = count_cut(table, plan)
    print(
        f"{found['patients']} patients with up to {plan.max_visits} visits in "
        f"{len(plan.wide.features)} columns; {found['cut']} patients lose {found['visits']} later "
        "visits (--max_visits)"
    )
    return widen(table, plan), plan.wide


def has_visits(run_dir: Path) -> bool:
    """Whether a record of the run is a patient with visits."""
    return (run_dir / PLAN).exists()


def narrow_run(run_dir: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A drawn table as the run's tables are: one row per visit where rows are visits."""
    if not has_visits(run_dir):
        return table
    plan = VisitPlan.from_json(json.loads((run_dir / PLAN).read_text()))
    print(f"{share_filled(table, plan):.2%} of the visits' cells were not drawn, and filled")
    return narrow(table, plan)
