"""Table <-> encoded records: invertible, fitted on training rows only, kept as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error
from synthdiff.data.categories import CategoryCoder, CodeSetCoder
from synthdiff.data.numeric import NumericCoder
from synthdiff.data.schema import Column, Schema
from synthdiff.layout import Layout, Records, bucket_width

VERSION = 1
CODERS = {"numeric": NumericCoder, "category": CategoryCoder, "code_set": CodeSetCoder}
MASKED_LABEL = "(missing)"
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Codec:
    """One coder per modelled column, in schema order."""

    schema: Schema
    coders: tuple
    min_patients: int

    @classmethod
    def fit(
        cls,
        df: pd.DataFrame,
        schema: Schema,
        *,
        entity_ids: np.ndarray | None = None,
        min_patients: int = 5,
    ) -> Codec:
        """Learns every coder from training rows; rows without entity ids are one patient each.

        Raises InputError naming a column that cannot be learnt.
        """
        patients = np.arange(len(df)) if entity_ids is None else pd.factorize(entity_ids)[0]
        coders = tuple(
            _coder_of(c).fit(_to_values(df[c.name], c), c, patients, min_patients)
            for c in schema.features
        )
        return cls(schema, coders, min_patients)

    @cached_property
    def _parts(self) -> tuple[list, list, list[str]]:
        """(column, token) of continuous parts; (column, code, cardinality, token); token names."""
        continuous, categorical, tokens = [], [], []
        for i, coder in enumerate(self.coders):
            if isinstance(coder, CodeSetCoder):
                labels = list(coder.codes) + [MASKED_LABEL] * coder.has_missing
                for j, label in enumerate(labels):
                    categorical.append((i, j, 2, len(tokens)))
                    tokens.append(f"{coder.name}={label}")
                continue
            if coder.cardinality:
                categorical.append((i, 0, coder.cardinality, len(tokens)))
            if isinstance(coder, NumericCoder) and coder.has_continuous:
                continuous.append((i, len(tokens)))
            tokens.append(coder.name)
        categorical.sort(key=lambda part: bucket_width(part[2]))
        return continuous, categorical, tokens

    @cached_property
    def layout(self) -> Layout:
        """The static shape of the encoded records."""
        continuous, categorical, tokens = self._parts
        gate_of = {column: j for j, (column, *_) in enumerate(categorical)}
        return Layout(
            tokens=tuple(tokens),
            continuous_token=tuple(token for _, token in continuous),
            categorical_token=tuple(part[3] for part in categorical),
            cardinalities=tuple(part[2] for part in categorical),
            gate=tuple(gate_of.get(column, -1) for column, _ in continuous),
        )

    def encode(self, df: pd.DataFrame, rng: np.random.Generator) -> Records:
        """Records of a conformed table; rng spreads granular values over their step."""
        return self.encode_given(df, len(df), rng)[0]

    def encode_given(
        self, df: pd.DataFrame, num_rows: int, rng: np.random.Generator
    ) -> tuple[Records, np.ndarray]:
        """Records of a table that may lack columns, and which tokens it gives: bool [tokens].

        Values are checked: a category the model does not know is an InputError here only where a
        condition rests on it, that is where `df` holds a single value.
        """
        for name in df.columns:
            self.schema[name]
        continuous_parts, categorical_parts, tokens = self._parts
        encoded = {}
        for i, (coder, column) in enumerate(zip(self.coders, self.schema.features, strict=True)):
            if column.name in df.columns:
                _check_condition(df[column.name], coder)
                encoded[i] = coder.encode(_to_values(df[column.name], column), rng)
        widest = max(self.layout.cardinalities, default=1)
        categorical = np.zeros((num_rows, len(categorical_parts)), np.min_scalar_type(-widest - 1))
        continuous = np.zeros((num_rows, len(continuous_parts)), np.float32)
        known = np.zeros(len(tokens), bool)
        for j, (i, code, _, token) in enumerate(categorical_parts):
            if i in encoded:
                known[token] = True
                part = encoded[i]
                if isinstance(part, tuple):
                    part = part[0]
                categorical[:, j] = part if part.ndim == 1 else part[:, code]
        for j, (i, token) in enumerate(continuous_parts):
            if i in encoded:
                known[token] = True
                continuous[:, j] = encoded[i][1]
        return Records(continuous, categorical), known

    def decode(self, records: Records, rng: np.random.Generator) -> pd.DataFrame:
        """A table with the schema's columns, order and dtypes; the entity gets fresh ids."""
        continuous_parts, categorical_parts, _ = self._parts
        num_rows = len(records.continuous)
        scores = {i: records.continuous[:, j] for j, (i, _) in enumerate(continuous_parts)}
        codes: dict[int, list] = {}
        for j, (i, code, _, _) in enumerate(categorical_parts):
            codes.setdefault(i, []).append((code, records.categorical[:, j]))
        columns = {}
        for i, (coder, column) in enumerate(zip(self.coders, self.schema.features, strict=True)):
            parts = [values for _, values in sorted(codes.get(i, []), key=lambda part: part[0])]
            if isinstance(coder, NumericCoder):
                gate = parts[0] if parts else np.zeros(num_rows, int)
                values = pd.Series(coder.decode(gate, scores.get(i, np.zeros(num_rows))))
            elif isinstance(coder, CodeSetCoder):
                values = coder.decode(np.stack(parts, axis=1), rng)
            else:
                values = coder.decode(parts[0] if parts else np.zeros(num_rows, int), rng)
            columns[column.name] = _to_dtype(values, column)
        for column in self.schema.columns:
            if column.kind == "entity":
                columns[column.name] = _fresh_ids(num_rows, column)
        return pd.DataFrame(columns)[list(self.schema.names)]

    def notes(self) -> list[str]:
        """What was merged and what is fitted, in words for the report."""
        notes = []
        for coder in self.coders:
            if getattr(coder, "num_rare", 0):
                notes.append(
                    f"{coder.name}: {coder.num_rare} values held by fewer than "
                    f"{self.min_patients} patients are never generated."
                )
        notes.append(
            f"Quantile knots are means over at least {self.min_patients} patients each; "
            "no fitted extreme is one person's value."
        )
        return notes

    def to_json(self) -> dict:
        return {
            "version": VERSION,
            "min_patients": self.min_patients,
            "schema": self.schema.to_json(),
            "coders": [_listed(coder.to_json()) for coder in self.coders],
        }

    @classmethod
    def from_json(cls, data: dict) -> Codec:
        """Inverse of `to_json`; raises InputError on another version."""
        if data.get("version") != VERSION:
            raise input_error("codec", f"version {data.get('version')!r}", f"use {VERSION}")
        coders = []
        for fields in data["coders"]:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            coders.append(CODERS[fields.pop("coder")](**fields))
        return cls(Schema.from_json(data["schema"]), tuple(coders), data["min_patients"])


def _coder_of(column: Column) -> type:
    if column.is_numeric:
        return NumericCoder
    return CodeSetCoder if column.kind == "code_set" else CategoryCoder


def _listed(fields: dict) -> dict:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def _to_values(values: pd.Series, column: Column) -> pd.Series:
    """Plain numbers for numeric kinds: datetimes become days since 1970-01-01."""
    values = values.reset_index(drop=True)
    if column.kind == "datetime":
        values = pd.to_datetime(values)
        return (values - pd.Timestamp(0)).dt.total_seconds() / SECONDS_PER_DAY
    return values


def _to_dtype(values: pd.Series, column: Column) -> pd.Series:
    """Gives a decoded column the dtype that the table had, as far as missing values allow."""
    if column.kind == "datetime":
        values = pd.Timestamp(0) + pd.to_timedelta(np.round(values * SECONDS_PER_DAY), unit="s")
        if not column.dtype.startswith("datetime"):
            midnight = (values.dropna() == values.dropna().dt.normalize()).all()
            return values.dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")
    if values.isna().any() and column.dtype.startswith(("int", "uint", "bool")):
        return values.astype("Int64" if "int" in column.dtype else "boolean")
    return values.astype(column.dtype)


def _fresh_ids(num_rows: int, column: Column) -> pd.Series:
    if "int" in column.dtype.lower() or "float" in column.dtype.lower():
        return pd.Series(np.arange(num_rows)).astype(column.dtype)
    return pd.Series([f"S{i:07d}" for i in range(num_rows)]).astype(column.dtype)


def _check_condition(values: pd.Series, coder: object) -> None:
    """Refuses a constant condition on a category that the model cannot generate."""
    if isinstance(coder, CategoryCoder) and values.nunique() == 1 and len(values) > 0:
        value = values.dropna().iloc[0]
        if value not in coder.levels:
            raise InputError(
                f"column {coder.name!r}: the model does not know the value {value!r}. "
                f"Fix: use one of {list(coder.levels)[:20]}."
            )
