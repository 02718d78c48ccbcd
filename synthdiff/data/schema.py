"""The typed schema of a table, kept as JSON beside every run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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

    def __post_init__(self) -> None:
        where = f"schema column {self.name!r}"
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

    @property
    def is_numeric(self) -> bool:
        return self.kind in NUMERIC_KINDS

    @property
    def is_categorical(self) -> bool:
        return self.kind in CATEGORICAL_KINDS


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
        """Inverse of `to_json`; raises InputError on another version or unknown fields."""
        require_version("schema", data.get("version"), VERSION)
        try:
            columns = tuple(
                Column(**{**fields, "categories": tuple(fields.get("categories", ()))})
                for fields in data["columns"]
            )
            roles = (data.get("target"), tuple(data.get("sensitive", ())), data.get("order"))
            return cls(columns, *roles)
        except (TypeError, KeyError) as error:
            raise InputError(
                f"schema: {error}. Fix: see Column for the fields it takes."
            ) from error

    def save(self, path: str | Path) -> None:
        write_atomically(path, json.dumps(self.to_json(), indent=1).encode(), private=True)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Reads a schema file; raises InputError where there is none or it is not valid JSON."""
        return cls.from_json(cls.read_json(path))

    @staticmethod
    def read_json(path: str | Path) -> dict:
        """What a schema file holds, ours or another's (see `data.sdv`)."""
        return read_json(path, "name a file that Schema.save wrote, or SDV metadata")
