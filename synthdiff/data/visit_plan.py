"""Which columns of a long table vary between visits, and how many visits to keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error, positive
from synthdiff.data.codec import Codec
from synthdiff.data.dtypes import to_values
from synthdiff.data.numeric import DATETIME_STEPS
from synthdiff.data.schema import Column, Schema
from synthdiff.data.visits import COUNT, VisitPlan, Visits, gap_name, sort_visits, widen

USUAL = 0.95  # by default this share of patients keeps all visits
STICKY = 0.5  # agreement with the visit before, beyond chance (kappa), to write changes only
CLOCK_ERROR = 1e-4  # of a value that advances with time, relative


def plan_visits(
    df: pd.DataFrame,
    schema: Schema,
    *,
    max_visits: int | None = None,
    min_patients: int = 5,
    write_changes: bool = True,
) -> VisitPlan:
    """Learns from a conformed long table which columns vary, and how many visits to keep.

    Any rule of the plan takes `min_patients` patients to change it: a column varies if so many
    patients show two values of it, a visit's column is kept if its values can be learnt under that
    limit. Of the few who break a rule the first known value, or the rest, is taken.

    max_visits: further visits are cut; by default as many as 95% of patients have.
    write_changes: of a column that seldom changes, write changes only; otherwise every value.

    Raises:
      InputError: no order column, an id or a time is missing, a group with two entities, or too few
        patients with so many visits.
    """
    visits = sort_visits(df, schema)
    most = _choose_max(visits, max_visits, min_patients)
    static: list[str] = []
    patchy: list[str] = []
    complete: list[str] = []
    clocks: dict[str, float] = {}
    for column in schema.features:
        if column.name == schema.order:
            continue
        varies, mixed, missing = compare_visits(visits, visits.df[column.name])
        if not visits.concerns(missing, min_patients):
            complete.append(column.name)
        if not visits.concerns(varies, min_patients):
            static.append(column.name)
            if visits.concerns(mixed, min_patients):
                patchy.append(column.name)
        elif column.is_numeric and not visits.concerns(missing, 1):
            rate = _find_rate(visits, to_values(visits.df[column.name], column), min_patients)
            clocks |= {column.name: rate} if rate else {}
    moving = [name for name in complete if name not in (*static, *clocks)] if write_changes else []
    sticky = [n for n in moving if _measure_agreement(visits, visits.df[n]) >= STICKY]
    unit = _find_unit(visits, schema[schema.order], min_patients)
    once = (*static, *clocks)
    columns = _list_columns(schema, most, once, patchy, unit)
    target = schema.target if schema.target in once else None
    sensitive = tuple(name for name in schema.sensitive if name in once)
    wide = Schema(tuple(columns), target, sensitive)
    kept = tuple(static), tuple(patchy), tuple(complete), tuple(sticky)
    plan = VisitPlan(schema, wide, most, *kept, clocks, unit)
    return _leave_out(plan, widen(df, plan), min_patients)


def _choose_max(visits: Visits, wanted: int | None, min_patients: int) -> int:
    """The number of visits to keep, which at least min_patients patients have."""
    reach = np.zeros(visits.owner.max() + 1, int)
    np.maximum.at(reach, visits.owner, visits.counts)
    enough = int(np.sort(reach)[::-1][:min_patients][-1]) if len(reach) >= min_patients else 1
    if wanted is not None:
        positive(max_visits=wanted)
    most = wanted or min(enough, int(np.quantile(visits.counts, USUAL, method="higher")))
    if wanted is not None and wanted > enough:
        problem = f"fewer than {min_patients} patients have {wanted} visits"
        raise input_error("max_visits", problem, f"use {enough} or fewer")
    if most < 2:
        fix = "leave out the order of visits: each row is a record of its own"
        raise input_error("visits", "too few patients have two visits", fix)
    return most


def compare_visits(visits: Visits, values: pd.Series) -> tuple[np.ndarray, ...]:
    """Of the rows: whether their group has two values, has some cells missing; the cell is missing.

    bool [rows] each.
    """
    codes = pd.factorize(values)[0]
    missing = codes < 0
    low, high = np.full(len(visits.counts), len(codes)), np.full(len(visits.counts), -1)
    np.minimum.at(low, visits.group[~missing], codes[~missing])
    np.maximum.at(high, visits.group, codes)
    absent = np.bincount(visits.group, missing)
    mixed = (absent > 0) & (absent < visits.counts)
    return (high > low)[visits.group], mixed[visits.group], missing


def _measure_agreement(visits: Visits, values: pd.Series) -> float:
    """Cohen's kappa of consecutive visits: 0 as often equal as by chance, 1 always."""
    after = np.flatnonzero(visits.slot > 0)
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    shares = [np.bincount(codes[rows], minlength=len(levels)) for rows in (after - 1, after)]
    chance = float(shares[0] @ shares[1]) / len(after) ** 2
    equal = float(np.mean(codes[after - 1] == codes[after]))
    return (equal - chance) / (1 - chance) if chance < 1 else 0.0


def _find_unit(visits: Visits, column: Column, min_patients: int) -> float | None:
    """What gaps are counted in; None where they are real numbers."""
    if column.kind in ("ordinal", "integer"):
        return 1.0
    if column.kind == "continuous":
        return column.step
    for unit in DATETIME_STEPS:
        if not visits.concerns(find_broken(visits, unit), min_patients):
            return unit
    return DATETIME_STEPS[-1]


def find_broken(visits: Visits, unit: float) -> np.ndarray:
    """Whether the time since the visit before is no multiple of the unit. bool [rows]"""
    units = np.nan_to_num(visits.gaps()) / unit
    return np.abs(units - np.rint(units)) > 1e-4


def _find_rate(visits: Visits, values: pd.Series, min_patients: int) -> float | None:
    """How fast a value advances with time, as an age does, if it does so for all patients."""
    first = np.flatnonzero(visits.slot == 0)[visits.group]
    passed = visits.times - visits.times[first]
    x = values.to_numpy(float)
    later = passed > 0
    if not later.any():
        return None
    rate = float(f"{np.median((x - x[first])[later] / passed[later]):.6g}")
    return None if visits.concerns(find_strays(visits, values, rate), min_patients) else rate


def find_strays(visits: Visits, values: pd.Series, rate: float) -> np.ndarray:
    """Whether a value is not what the first visit's has become at this pace. bool [rows]"""
    first = np.flatnonzero(visits.slot == 0)[visits.group]
    x = values.to_numpy(float)
    expected = x[first] + rate * (visits.times - visits.times[first])
    return ~(np.abs(x - expected) <= CLOCK_ERROR * np.maximum(np.abs(x), 1.0))


def _list_columns(
    schema: Schema, most: int, once: tuple[str, ...], patchy: list[str], unit: float | None
) -> list[Column]:
    """The wide columns: what stays once, then visit by visit."""
    order = schema[schema.order]
    gap = Column("", "integer", "int64", lower=0, step=1)
    if order.kind == "ordinal":
        gap = Column("", "ordinal", "int64", tuple(range(len(order.categories))))
    elif unit is None:
        gap = Column("", "continuous", "float64", lower=0)
    kept = [c for c in schema.columns if c.kind == "entity" or c.name in (schema.order, *once)]
    columns = [*kept, Column(COUNT, "ordinal", "int64", tuple(range(1, most + 1)))]
    varying = [c for c in schema.features if c not in kept]
    known = Column("", "boolean", "boolean", (False, True))
    for visit in range(1, most + 1):
        if visit > 1:
            columns.append(replace(gap, name=f"{gap_name(schema)}@{visit}"))
        columns += [replace(known, name=f"{name}?@{visit}") for name in patchy]
        columns += [replace(column, name=f"{column.name}@{visit}") for column in varying]
    return columns


def _leave_out(plan: VisitPlan, wide: pd.DataFrame, min_patients: int) -> VisitPlan:
    """The plan without the columns of later visits that too few patients fill."""
    entity, kept = plan.wide[plan.wide.entity], []
    later = {f"{name}@{k}" for name in plan.varying for k in range(2, plan.max_visits + 1)}
    for column in plan.wide.columns:
        if column.name in later:
            try:
                Codec.fit(wide, Schema((entity, column)), min_patients=min_patients)
            except InputError:
                continue
        kept.append(column)
    return replace(plan, wide=replace(plan.wide, columns=tuple(kept)))
