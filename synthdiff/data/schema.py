"""The typed schema of a table, kept as JSON beside every run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from synthdiff._files import read_json, write_atomically
from synthdiff._validate import InputError, input_error, require_version

VERSION = 1
NUMERIC_KINDS = ("continuous", "integer", "datetime")
CATEGORICAL_KINDS = ("categorical", "ordinal", "boolean")
ID_KINDS = ("entity", "group")
KINDS = (*NUMERIC_KINDS, *CATEGORICAL_KINDS, "code_set", *ID_KINDS)


@dataclass(frozen=True)
class Column:
    """One column of the table.

    kind: continuous, integer, datetime | categorical, ordinal, boolean | code_set | entity | group.
      A group says whose visits a row belongs to, where that is finer than the entity, which says
      whose privacy it is: a person of a household.
    dtype: the pandas dtype that synthetic data gives back.
    categories: vocabulary (in order for ordinal); empty means "learn it from training rows".
      For a code_set it is the code vocabulary.
    lower, upper: bounds; for datetime, days since 1970-01-01. None means "learn them".
    step: smallest difference between values (1 for whole dollars); None means "learn it".
    delimiter: between the codes of a code_set cell, such as "E11.9;I10".
    public: categories, bounds and step are public knowledge and were not read from the data.
    format: how a datetime is written, as "%d/%m/%Y"; None: as ISO 8601 says.
    """

    name: str
    kind: str
    dtype: str = "object"
    categories: tuple = ()
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    delimiter: str = ";"
    public: bool = False
    format: str | None = None

    def __post_init__(self) -> None:
        where = f"schema column {self.name!r}"
        self._check_types(where)
        if self.kind not in KINDS:
            raise input_error(
                where, f"unknown kind {self.kind!r}", f"use one of {', '.join(KINDS)}"
            )
        if self.kind == "ordinal" and not self.categories:
            raise input_error(where, "ordinal without categories", "list the categories in order")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise input_error(where, f"lower {self.lower} > upper {self.upper}", "swap the bounds")
        if len(set(self.categories)) != len(self.categories):
            raise input_error(where, "categories repeat", "list each category once")

    def _check_types(self, where: str) -> None:
        """Raises InputError unless every field is of its type: people write these files."""
        for name in ("name", "kind", "dtype", "delimiter"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise input_error(where, f"{name} {value!r} is not text", "put it between quotes")
        if not self.delimiter:
            raise input_error(where, "delimiter is empty", 'write the one between codes, as ";"')
        for name in ("lower", "upper", "step"):
            value = getattr(self, name)
            if value is not None and not _is_number(value):
                fix = "write a number; for a datetime, days since 1970-01-01" * (name != "step")
                problem = f"{name} {value!r} is not a finite number"
                raise input_error(where, problem, fix or "write a number above 0")
        if self.step is not None and self.step <= 0:
            raise input_error(where, f"step {self.step!r} is not above 0", "write a number above 0")
        if not isinstance(self.categories, tuple | list):
            problem = f"categories {self.categories!r} are not a list"
            raise input_error(where, problem, 'write a list, as ["F", "M"]')
        for value in self.categories:
            if not (isinstance(value, str | bool | np.bool_) or _is_number(value)):
                problem, fix = f"category {value!r} is neither text nor a number", "take it out"
                raise input_error(where, f"{problem} nor a truth value", fix)
        if not isinstance(self.public, bool):
            raise input_error(where, f"public {self.public!r} is no truth value", "true or false")
        if self.format is not None and (self.kind != "datetime" or not _is_format(self.format)):
            problem = f"format {self.format!r} is not that of a datetime"
            raise input_error(where, problem, 'write it as "%d/%m/%Y", or leave it out')

    @property
    def is_numeric(self) -> bool:
        return self.kind in NUMERIC_KINDS

    @property
    def is_categorical(self) -> bool:
        return self.kind in CATEGORICAL_KINDS


def _is_number(value: object) -> bool:
    """Whether the value is a finite number; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_format(form: object) -> bool:
    """Whether it is a format of dates that Python knows and can read again."""
    try:
        datetime.strptime(datetime(2001, 12, 31).strftime(form), form)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Schema:
    """The columns in table order, with the roles the pipeline needs.

    target: column that utility tests predict. sensitive: columns that subgroup reports use.
    order: column by which the rows of a group (or entity) are its visits; None: rows stand alone.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    sensitive: tuple[str, ...] = ()
    order: str | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise input_error(f"schema column {repeated[0]!r}", "appears twice", "rename one")
        for kind in ID_KINDS:
            if sum(column.kind == kind for column in self.columns) > 1:
                raise input_error("schema", f"more than one {kind} column", "keep one of them")
        if not self.features:
            raise input_error("schema", "no column to model", "keep at least one non-entity column")
        for role in filter(None, (self.target, *self.sensitive, self.order)):
            if role not in names:
                raise input_error("schema", f"no column named {role!r}", f"use one of {names}")
        if (self.order or self.group) and not self.entity:
            fix = "name the patient of a row as the entity"
            raise input_error("schema", "visits without an entity column", fix)
        if self.order and not (self[self.order].is_numeric or self[self.order].kind == "ordinal"):
            where, problem = f"schema column {self.order!r}", "orders the visits but has no order"
            raise input_error(where, problem, "use a number, a datetime or an ordinal column")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def entity(self) -> str | None:
        """Name of the column that says whose record a row is, if there is one."""
        return next((column.name for column in self.columns if column.kind == "entity"), None)

    @property
    def group(self) -> str | None:
        """Name of the column that says whose visit a row is, where that is not the entity."""
        return next((column.name for column in self.columns if column.kind == "group"), None)

    @property
    def features(self) -> tuple[Column, ...]:
        """The modelled columns: all but the ids."""
        return tuple(column for column in self.columns if column.kind not in ID_KINDS)

    def __getitem__(self, name: str | None) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise input_error("schema", f"no column named {name!r}", f"use one of {list(self.names)}")

    def edit(self, name: str, **changes: Any) -> Schema:
        """A copy in which one column is changed, for example `edit("sex", kind="boolean")`.

        >>> schema = Schema((Column("sex", "integer"), Column("age", "integer")))
        >>> schema.edit("sex", kind="boolean")["sex"].kind
        'boolean'
        """
        edited = replace(self[name], **changes)
        columns = tuple(edited if column.name == name else column for column in self.columns)
        return replace(self, columns=columns)

    def to_json(self) -> dict:
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict) -> Schema:
        """Inverse of `to_json`; raises InputError on another version, unknown or absent fields."""
        if not isinstance(data, dict):
            raise input_error("schema", "is not a JSON object", "see Schema.to_json")
        if "version" not in data:
            fix = f'begin the file with "version": {VERSION}'
            raise input_error("schema", "does not say its version", fix)
        require_version("schema", data["version"], VERSION)
        _check_fields("schema", data, ("version", *(f.name for f in fields(cls))), ("columns",))
        columns = data["columns"]
        if not isinstance(columns, list | tuple):
            problem, fix = f"columns {columns!r} are not a list", "write a list of objects"
            raise input_error("schema", problem, f'{fix}, as [{{"name": "age", "kind": ...}}]')
        sensitive = data.get("sensitive", ())
        if not isinstance(sensitive, list | tuple):
            fix = 'write a list of names, as ["sex"]'
            raise input_error("schema", f"sensitive {sensitive!r} is not a list", fix)
        made = tuple(_read_column(about, number) for number, about in enumerate(columns))
        return cls(made, data.get("target"), tuple(sensitive), data.get("order"))

    def save(self, path: str | Path) -> None:
        write_atomically(path, json.dumps(self.to_json(), indent=1).encode(), private=True)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Reads a schema file; raises InputError that names it where there is none or a mistake."""
        return cls.parse(cls.read_json(path), path)

    @staticmethod
    def read_json(path: str | Path) -> dict:
        """What a schema file holds, ours or another's (see `data.sdv`)."""
        return read_json(path, "name a file that Schema.save wrote, or SDV metadata")

    @classmethod
    def parse(cls, data: dict, path: str | Path) -> Schema:
        """`from_json`, with the file named in its errors."""
        try:
            return cls.from_json(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _check_fields(where: str, data: dict, known: Sequence[str], needed: Sequence[str]) -> None:
    """Raises InputError where a field is unknown or absent."""
    if unknown := [name for name in data if name not in known]:
        fix = f"use one of {', '.join(known)}"
        raise input_error(where, f"unknown field {unknown[0]!r}", fix)
    if absent := [name for name in needed if name not in data]:
        raise input_error(where, f"has no {absent[0]!r}", "add it")


def _read_column(about: object, number: int) -> Column:
    """A column of a schema file; number: its place, from 0."""
    where = f"schema columns[{number}]"
    if not isinstance(about, dict):
        fix = 'write for example {"name": "age", "kind": "integer"}'
        raise input_error(where, f"{about!r} is not an object", fix)
    where += f" ({about['name']!r})" if "name" in about else ""
    _check_fields(where, about, [f.name for f in fields(Column)], ("name", "kind"))
    if isinstance(about.get("categories"), list):
        about = about | {"categories": tuple(about["categories"])}
    return Column(**about)
