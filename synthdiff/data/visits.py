"""Visits of one patient as one record: a long table <-> a wide one, a column per visit.

A generator of rows cannot know that two rows are one patient's. In the wide table a patient is one
row, so that what belongs together is drawn together, and splits, audit and privacy count patients:

  * columns that no patient changes stay once; any other becomes a column per visit, `mdvis@2`,
    and where most visits repeat the value of the visit before, only changes are written;
  * `num_visits` says how many visits there are, and cells of absent visits are missing;
  * time becomes the first visit's, and gaps >= 0 to the visit before: no draw can break the order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error, require_version
from synthdiff.data.categories import find_codes
from synthdiff.data.conform import coerce, conform
from synthdiff.data.dtypes import fresh_ids, to_dtype, to_values
from synthdiff.data.schema import Column, Schema

VERSION = 1
COUNT = "num_visits"


@dataclass(frozen=True)
class VisitPlan:
    """How a long table becomes a wide one, and back; learnt from no fewer than min_patients.

    schema, wide: of the long and of the wide table. static: columns that stay once. patchy: those
    of them that some visits lack, so that each visit says whether it has the value. complete:
    columns that no visit lacks. sticky: those of them that seldom change. clocks: columns that
    advance with time, as an age does, and how fast; they stay once too, as at the first visit.
    unit: of a gap, in the order column's unit (days of a datetime); None where gaps are no
    multiples.
    """

    schema: Schema
    wide: Schema
    max_visits: int
    static: tuple[str, ...]
    patchy: tuple[str, ...]
    complete: tuple[str, ...]
    sticky: tuple[str, ...]
    clocks: dict[str, float]
    unit: float | None

    @property
    def varying(self) -> tuple[str, ...]:
        """Columns with a value of their own in each visit."""
        kept = (self.schema.order, *self.static, *self.clocks)
        return tuple(c.name for c in self.schema.features if c.name not in kept)

    def to_json(self) -> dict:
        names = ("max_visits", "static", "patchy", "complete", "sticky", "clocks", "unit")
        schemas = {"schema": self.schema.to_json(), "wide": self.wide.to_json()}
        return {"version": VERSION, **schemas, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_json(cls, data: dict) -> VisitPlan:
        """Inverse of `to_json`; raises InputError on another version."""
        require_version("visits", data.get("version"), VERSION)
        fields = {name: data[name] for name in ("max_visits", "clocks", "unit")}
        for name in ("schema", "wide"):
            fields[name] = Schema.from_json(data[name])
        for name in ("static", "patchy", "complete", "sticky"):
            fields[name] = tuple(data[name])
        return cls(**fields)


@dataclass(frozen=True)
class Visits:
    """Rows in order of visit. group: number of each row's patient; slot: of its visit, from 0.

    owner: the entity of each group, whose privacy it is. times: number per row.
    """

    df: pd.DataFrame
    group: np.ndarray
    slot: np.ndarray
    times: np.ndarray
    owner: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Visits of each group."""
        return np.bincount(self.group)

    def concerns(self, rows: np.ndarray, people: int) -> bool:
        """Whether the rows are those of at least so many entities."""
        return len(np.unique(self.owner[self.group[rows]])) >= people

    def repeats(self, values: pd.Series) -> np.ndarray:
        """Whether a value is that of the visit before; missing never is. bool [rows]"""
        same = (values == values.shift()).fillna(False).to_numpy(bool)
        return same & (self.slot > 0)

    def gaps(self) -> np.ndarray:
        """Time since the visit before, NaN at a first visit. [rows]"""
        return np.where(self.slot > 0, np.diff(self.times, prepend=np.nan), np.nan)


def widen(df: pd.DataFrame, plan: VisitPlan) -> pd.DataFrame:
    """One row per patient (group) of a conformed long table; visits beyond the last are cut."""
    visits = sort_visits(df, plan.schema)
    first = np.flatnonzero(visits.slot == 0)
    gaps = visits.gaps() / (plan.unit or 1.0)
    varying = {name: visits.df[name] for name in plan.varying}
    varying |= {name: varying[name].mask(visits.repeats(varying[name])) for name in plan.sticky}
    columns = {plan.schema.entity: visits.df[plan.schema.entity].iloc[first]}
    columns[COUNT] = pd.Series(np.minimum(visits.counts, plan.max_visits))
    columns[plan.schema.order] = visits.df[plan.schema.order].iloc[first]
    for name in plan.clocks:
        columns[name] = visits.df[name].iloc[first]
    for name in plan.static:
        columns[name] = visits.df[name].groupby(visits.group).first()
    wide = {name: values.reset_index(drop=True) for name, values in columns.items()}
    for slot in range(plan.max_visits):
        rows = np.flatnonzero(visits.slot == slot)
        places = np.full(len(first), -1)
        places[visits.group[rows]] = rows
        cells = {gap_name(plan.schema): pd.Series(gaps if plan.unit is None else np.rint(gaps))}
        cells |= {f"{name}?": visits.df[name].notna().astype("boolean") for name in plan.patchy}
        cells |= varying
        for name, values in cells.items():
            wide[f"{name}@{slot + 1}"] = values.reindex(places).reset_index(drop=True)
    return conform(pd.DataFrame({name: wide[name] for name in plan.wide.names}), plan.wide)


def narrow(
    wide: pd.DataFrame,
    plan: VisitPlan,
    first: int = 0,
    cast: Callable[[pd.Series, Column], pd.Series] = to_dtype,
) -> pd.DataFrame:
    """The long table of a wide one, real or drawn: `num_visits` rows per patient, in order.

    The inverse of `widen` up to the order of rows, fresh group ids and what the plan cuts. A drawn
    record may contradict itself; then `num_visits` decides, times that run over the order column's
    bounds start earlier, and a column that no real visit lacks takes the value of the patient's
    nearest visit, the one before if there is one. For a sticky column the latter is the rule.

    first: the number of the first record, if these are a piece of a longer table. cast: gives the
    cells of a column the dtype of the user's table.
    """
    schema, wide = plan.schema, conform(wide, plan.wide).reset_index(drop=True)
    counts = wide[COUNT].to_numpy(int)
    rows = np.repeat(np.arange(len(wide)), counts)
    slot = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    times, long = _narrow_times(wide, plan), {}
    for column in schema.columns:
        name = column.name
        if column.kind == "group":
            long[name] = fresh_ids(len(wide), column, first).take(rows).reset_index(drop=True)
            continue
        if column.kind == "entity":
            long[name] = wide[name].take(rows).reset_index(drop=True)
            continue
        if name == schema.order:
            values = _from_numbers(times[rows, slot], column)
        elif name in plan.clocks:
            passed = times[rows, slot] - times[rows, 0]
            start = to_values(wide[name], column).to_numpy(float)[rows]
            values = pd.Series(start + plan.clocks[name] * passed)
            values = values.clip(column.lower, column.upper)
        else:
            values = _narrow_cells(wide, name, plan, rows, slot)
            values = to_values(coerce(values, column)[0], column)
        long[name] = cast(values, column)
    return pd.DataFrame(long)


def _narrow_cells(
    wide: pd.DataFrame, name: str, plan: VisitPlan, rows: np.ndarray, slot: np.ndarray
) -> pd.Series:
    """The cells of a column that does not count time, one per visit."""
    if name in plan.static:
        values = wide[name].take(rows).reset_index(drop=True)
        if name in plan.patchy:
            known = _stack(wide, f"{name}?", plan, rows, slot).fillna(False).astype(bool)
            values = values.where(known)
        return values
    values = _stack(wide, name, plan, rows, slot)
    if name in plan.complete:
        values = values.groupby(rows).ffill()
        values = values.groupby(rows).bfill()
    return values


def count_cut(df: pd.DataFrame, plan: VisitPlan) -> dict[str, int]:
    """How many patients (groups) there are, how many lose visits, and how many visits."""
    counts = sort_visits(df, plan.schema).counts
    over = np.maximum(counts - plan.max_visits, 0)
    return {"patients": len(counts), "cut": int((over > 0).sum()), "visits": int(over.sum())}


def share_filled(wide: pd.DataFrame, plan: VisitPlan) -> float:
    """The share of cells that no real visit lacks but a drawn table does, and `narrow` fills."""
    names = [n for n in plan.varying if n in plan.complete and n not in plan.sticky]
    lacking = present = 0
    for visit in range(1, plan.max_visits + 1):
        here = (wide[COUNT] >= visit).to_numpy()
        for name in names:
            if f"{name}@{visit}" in wide:
                present += int(here.sum())
                lacking += int((here & wide[f"{name}@{visit}"].isna().to_numpy()).sum())
    return lacking / max(present, 1)


def visit_numbers(df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The table in order of visits, with "group", "slot" (from 0), "gap" and "owner" as an index.

    group and owner are numbers of the patient whose visits they are, and of the entity.
    """
    visits = sort_visits(df, schema)
    index = {"group": visits.group, "slot": visits.slot, "gap": visits.gaps()}
    index["owner"] = visits.owner[visits.group]
    return visits.df.set_axis(pd.MultiIndex.from_arrays(list(index.values()), names=list(index)))


def count_records(df: pd.DataFrame, schema: Schema) -> int:
    """How many records a table is: patients (groups) where rows are visits, else rows."""
    return len(df) if schema.order is None else df[schema.group or schema.entity].nunique()


def number_records(df: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Of each row the number of its patient (group), which is its row of the wide table."""
    return pd.factorize(df[schema.group or schema.entity])[0]


def gap_name(schema: Schema) -> str:
    """The wide columns of gaps, without the visit's number."""
    return f"{schema.order} gap"


def sort_visits(df: pd.DataFrame, schema: Schema) -> Visits:
    """The rows by group and time; visits at one time keep the order of the table."""
    if schema.order is None:
        raise input_error("schema", "names no order of visits", "set order to a column, --visits")
    for name in filter(None, (schema.entity, schema.group, schema.order)):
        if df[name].isna().any():
            row = df.index[df[name].isna()][0]
            raise input_error(
                f"column {name!r}", f"missing at row {row}", "drop or fill those rows"
            )
    group = number_records(df, schema)
    entity = pd.factorize(df[schema.entity])[0]
    times = _to_numbers(df[schema.order], schema[schema.order])
    order = np.lexsort((times, group))
    df, group, times = df.iloc[order].reset_index(drop=True), group[order], times[order]
    counts = np.bincount(group)
    first = np.cumsum(counts) - counts
    owner = entity[order][first]
    if (owner[group] != entity[order]).any():
        where = f"column {schema.group!r}"
        raise input_error(where, "a value belongs to two entities", "make it unique to one entity")
    return Visits(df, group, np.arange(len(df)) - first[group], times, owner)


def _stack(
    wide: pd.DataFrame, name: str, plan: VisitPlan, rows: np.ndarray, slot: np.ndarray
) -> pd.Series:
    """The cells of one column in long form, missing where a visit's column was left out.

    A code set was left out as all its codes were rare, and a set without them is empty.
    """
    found = [k for k in range(plan.max_visits) if f"{name}@{k + 1}" in wide.columns]
    pool = pd.concat([wide[f"{name}@{k + 1}"] for k in found], ignore_index=True)
    place = np.full(plan.max_visits, -1)
    place[found] = np.arange(len(found))
    left_out = place[slot] < 0
    at = np.where(left_out, -1, place[slot] * len(wide) + rows)
    values = pool.reindex(at).reset_index(drop=True)
    sets = [c.name for c in plan.schema.features if c.kind == "code_set"]
    if name in sets and name not in plan.sticky:
        values = values.mask(left_out, "")
    return values


def _narrow_times(wide: pd.DataFrame, plan: VisitPlan) -> np.ndarray:
    """Times of all visits [records, max_visits]; an absent gap is the one before, or 0."""
    column = plan.schema[plan.schema.order]
    names = [f"{gap_name(plan.schema)}@{visit}" for visit in range(2, plan.max_visits + 1)]
    gaps = wide[names].astype("float64").ffill(axis=1).fillna(0.0).to_numpy()
    times = _to_numbers(wide[column.name], column)
    times = np.cumsum(np.column_stack([times, gaps * (plan.unit or 1.0)]), axis=1)
    low, high = column.lower, column.upper
    if column.kind == "ordinal":
        low, high = 0, len(column.categories) - 1
    if high is not None:
        last = times[np.arange(len(wide)), wide[COUNT].to_numpy(int) - 1]
        times -= np.maximum(last - high, 0)[:, None]
    return times if low is None else np.maximum(times, low)


def _from_numbers(values: np.ndarray, column: Column) -> pd.Series:
    """Inverse of `_to_numbers`, up to the dtype; datetimes stay days."""
    if column.kind == "ordinal":
        levels = np.array(column.categories, dtype=object)
        return pd.Series(levels[np.rint(values).astype(int)])
    return pd.Series(values)


def _to_numbers(values: pd.Series, column: Column) -> np.ndarray:
    """Times as numbers: days of a datetime, places of an ordinal's levels. float64 [rows]"""
    if column.kind == "ordinal":
        places = find_codes(values, column.categories)
        if (places < 0).any():
            unknown = values.iloc[int(np.argmin(places))]
            fix = "add it to the schema's categories"
            raise input_error(f"column {column.name!r}", f"no level {unknown!r}", fix)
        return places.astype(float)
    return to_values(values, column).to_numpy(float)
