"""A table's rows <-> a model's records, which are patients where rows are visits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from synthdiff._files import is_sealed, parse_json, read_json, read_sealed
from synthdiff._validate import input_error
from synthdiff.data.codec import Codec
from synthdiff.data.dtypes import to_dtype
from synthdiff.data.schema import Column, Schema
from synthdiff.data.visit_coverage import require_planned
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import VisitPlan, narrow

PLAN = "visits.json"


def plan_records(
    df: pd.DataFrame,
    schema: Schema,
    *,
    max_visits: int | None,
    min_patients: int,
    private: bool,
    first: VisitPlan | None = None,
) -> VisitPlan | None:
    """How the visits of a conformed table become records; None where each row is a record.

    first: the plan of the model that training begins with, which then holds here too.
    """
    if schema.order is None:
        if max_visits is not None:
            fix = "set order to a column, --visits"
            raise input_error("max_visits", "the schema names no order of visits", fix)
        return None
    if private:
        fix = "leave out the order of visits, --visits; rows of a patient are then drawn apart, "
        fix += "within the same budget"
        raise input_error("--dp.epsilon", "the plan of visits is read from the table", fix)
    if first is None:
        return plan_visits(df, schema, max_visits=max_visits, min_patients=min_patients)
    require_planned(first, df, schema, max_visits=max_visits, min_patients=min_patients)
    return first


def to_rows(records: pd.DataFrame, codec: Codec, plan: VisitPlan, first: int = 0) -> pd.DataFrame:
    """The visits of records, in dtypes that do not depend on which ones the model drew.

    A column is of a dtype that holds missing cells where the codec may draw them. Given cells, as
    of `impute`, may be missing where it never draws one: the dtype then does depend on them, and a
    piece of a table may differ from another, such as int64 from Int64.
    """

    def cast(values: pd.Series, column: Column) -> pd.Series:
        column, has_missing, whole_days = _describe_cells(column, codec, plan)
        has_missing |= bool(values.isna().any())  # of given cells
        return to_dtype(values, column, has_missing, whole_days)

    return narrow(records, plan, first, cast)


def _describe_cells(column: Column, codec: Codec, plan: VisitPlan) -> tuple[Column, bool, bool]:
    """What `to_dtype` asks of a column, of all the cells that the codec draws."""
    name, coders = column.name, {coder.name: coder for coder in codec.coders}
    names = [f"{name}@{visit}" for visit in range(1, plan.max_visits + 1)]
    own = [n for n in (names if name in plan.varying else [name]) if n in coders]
    has_missing = coders[own[0]].has_missing or name in plan.patchy
    if name in plan.varying:  # a first visit without missing cells fills those that come after
        has_missing |= name not in plan.complete
    pace = 1.0 if name == plan.schema.order else plan.clocks.get(name, 0.0)
    whole_days = all(getattr(coders[n], "is_whole", False) for n in own)
    whole_days &= not pace or (plan.unit is not None and (pace * plan.unit).is_integer())
    if column.dtype == "category" and not pace:
        learnt = dict.fromkeys(x for n in own for x in getattr(coders[n], "levels", ()))
        levels = [level for level in column.categories if level in learnt] or list(learnt)
        column = replace(column, categories=tuple(levels))
    return column, has_missing, whole_days


def require_records(df: pd.DataFrame, plan: VisitPlan) -> None:
    """Raises InputError unless the table has a row per patient, with columns of the record."""
    entity, fix = plan.schema.entity, "give one row per patient, with columns of model.codec.schema"
    for name in df.columns:
        if name not in plan.wide.names:
            known = f"such as {plan.wide.features[-1].name!r}"
            raise input_error(f"column {name!r}", "is none of a patient's record", f"{fix} {known}")
    if not plan.schema.group and entity in df and df[entity].duplicated().any():
        raise input_error(f"column {entity!r}", "a patient has several rows", fix)


def read_plan(path: Path, schema: Schema, fix: str) -> VisitPlan | None:
    """The plan of a saved model whose codec has this schema; None where rows are records.

    Runs of before did not seal it.
    """
    if not (path.exists() or is_sealed(path)):
        return None
    sealed = is_sealed(path)
    content = parse_json(path, read_sealed(path, fix), fix) if sealed else read_json(path, fix)
    try:
        plan = VisitPlan.from_json(content)
    except (TypeError, KeyError) as error:
        raise input_error(str(path), f"bad field ({error})", fix) from error
    if plan.wide.names != schema.names:
        raise input_error(str(path), "does not fit codec.json", fix)
    return plan
