"""Whether the plan of visits of one table holds another one's."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.dtypes import to_values
from synthdiff.data.schema import Schema
from synthdiff.data.visit_plan import compare_visits, find_broken, find_strays
from synthdiff.data.visits import VisitPlan, sort_visits

_ELSEWHERE = "fit the first model to patients of whom the same is true"


def require_planned(
    plan: VisitPlan,
    df: pd.DataFrame,
    schema: Schema,
    *,
    max_visits: int | None,
    min_patients: int,
) -> None:
    """Raises InputError where the plan of a first model would lose what a conformed table holds.

    As in `plan_visits`, it takes `min_patients` patients to break a rule of the plan.
    """
    kinds = [[(c.name, c.kind) for c in found.columns] for found in (schema, plan.schema)]
    if kinds[0] != kinds[1] or schema.order != plan.schema.order:
        problem = "its columns or its order of visits are not those of the first model"
        raise input_error("schema", problem, "give both one schema")
    if max_visits not in (None, plan.max_visits):
        problem = f"is {max_visits} here and {plan.max_visits} in the first model"
        raise input_error("max_visits", problem, f"use {plan.max_visits}")
    visits = sort_visits(df, schema)
    broken: list[tuple[str, str, np.ndarray]] = []
    if plan.unit is not None:
        fractions = find_broken(visits, plan.unit)
        broken.append((str(schema.order), f"gaps are no multiples of {plan.unit:g}", fractions))
    for name in (*plan.static, *plan.complete):
        varies, mixed, missing = compare_visits(visits, visits.df[name])
        if name in plan.static:
            broken.append((name, "differs between visits", varies))
        if name in plan.static and name not in plan.patchy:
            broken.append((name, "only some visits of a patient have it", mixed))
        if name in plan.complete:
            broken.append((name, "some visits lack it", missing))
    for name, rate in plan.clocks.items():
        strays = find_strays(visits, to_values(visits.df[name], schema[name]), rate)
        broken.append((name, f"does not advance with time by {rate:g}", strays))
    for name, problem, rows in broken:
        if visits.concerns(rows, min_patients):
            raise input_error(
                f"column {name!r}", f"{problem}, unlike the first model's", _ELSEWHERE
            )
