"""Visits of one patient as one record: between the long tables of a run and the model's wide ones.

A run whose schema names an order of visits trains on one row per patient (see data/visits.py), and
the plan for that, visits.json in the run folder, makes a drawn table long again.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from absl import flags

from synthdiff._validate import input_error
from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema
from synthdiff.data.table import write_json
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import (
    VisitPlan,
    count_cut,
    narrow,
    number_records,
    share_filled,
    widen,
)

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


def read_plan(run_dir: Path) -> VisitPlan:
    """The plan by which the run's patients became records."""
    return VisitPlan.from_json(json.loads((run_dir / PLAN).read_text()))


def narrow_run(run_dir: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A drawn table as the run's tables are: one row per visit where rows are visits."""
    if not has_visits(run_dir):
        return table
    plan = read_plan(run_dir)
    print(f"{share_filled(table, plan):.2%} of the visits' cells were not drawn, and filled")
    return narrow(table, plan)


def narrow_draw(run_dir: Path, draw: Callable) -> Callable:
    """`draw(first, count)` of so many records, as rows of the run's tables are.

    The cells are in memory's types, which do not depend on which of them a piece lacks.
    """
    if not has_visits(run_dir):
        return draw
    plan = read_plan(run_dir)

    def draw_visits(first: int, count: int) -> pd.DataFrame:
        table = narrow(draw(first, count), plan, first)
        return fix_types(conform(table, plan.schema), plan.schema)

    return draw_visits


def fix_types(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Whole numbers and truth values as pandas' types with missing cells, needed or not."""
    types = {}
    for column in schema.features:
        if column.kind == "boolean" and set(column.categories) <= {0, 1}:
            types[column.name] = "boolean"
        elif column.kind == "integer" or _counts(column):
            types[column.name] = "Int64"
    return table.astype(types)


def _counts(column: Column) -> bool:
    """Whether a column's categories are whole numbers."""
    return bool(column.categories) and all(type(level) is int for level in column.categories)


def widen_attack(run_dir: Path, reference: pd.DataFrame, make: Callable) -> Callable:
    """The attacks `make(reference)` of a run's model on its records, with a score per row.

    Where records are patients with their visits, each row has the score of its patient.
    """
    if not has_visits(run_dir):
        return make(reference)
    plan = read_plan(run_dir)
    attack = make(widen(reference, plan))

    def attack_visits(members: pd.DataFrame, nonmembers: pd.DataFrame) -> tuple[dict, dict]:
        sides = (members, nonmembers)
        scores, about = attack(*(widen(side, plan) for side in sides))
        owners = [number_records(side, plan.schema) for side in sides]
        record = np.append(owners[0], owners[1] + owners[0].max() + 1)
        return {name: np.asarray(found)[record] for name, found in scores.items()}, about

    return attack_visits
