"""Table <-> encoded records: invertible, fitted on training rows only, kept as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from synthdiff._validate import input_error, require_version
from synthdiff.data.categories import CategoryCoder, CodeSetCoder, explode_codes, rank_codes
from synthdiff.data.conform import coerce, plain
from synthdiff.data.dtypes import fresh_ids, to_dtype, to_values
from synthdiff.data.numeric import NumericCoder
from synthdiff.data.schema import ID_KINDS, Column, Schema
from synthdiff.data.turns import order_turns
from synthdiff.layout import Layout, Records, bucket_width

Coder = NumericCoder | CategoryCoder | CodeSetCoder

VERSION = 2
CODERS = {"numeric": NumericCoder, "category": CategoryCoder, "code_set": CodeSetCoder}
MASKED_LABEL = "(missing)"


@dataclass(frozen=True)
class Codec:
    """One coder per modelled column, in schema order. turns: as of `Layout`."""

    schema: Schema
    coders: tuple[Coder, ...]
    min_patients: int
    turns: tuple[int, ...] = ()

    @classmethod
    def fit(
        cls,
        df: pd.DataFrame,
        schema: Schema,
        *,
        min_patients: int = 5,
    ) -> Codec:
        """Learns every coder from training rows of a conformed table.

        The codec's schema keeps only the learnt part of a vocabulary that is not public. Raises
        InputError naming a column that cannot be learnt.
        """
        patients = number_patients(df, schema)
        coders = tuple(
            _coder_of(c).fit(to_values(df[c.name], c), c, patients, min_patients)
            for c in schema.features
        )
        learnt = {coder.name: _learnt(schema[coder.name], coder) for coder in coders}
        columns = tuple(learnt.get(column.name, column) for column in schema.columns)
        codec = cls(replace(schema, columns=columns), coders, min_patients)
        return codec.with_turns(codec.encode(df, np.random.default_rng(0)))

    def with_turns(self, records: Records) -> Codec:
        """The codec that knows which parts of such records hang together."""
        return replace(self, turns=order_turns(records, self.layout, seed=0))

    @cached_property
    def _parts(self) -> tuple[list, list, list[str]]:
        """(column, token) of continuous parts; (column, code, cardinality, token); token names."""
        continuous: list[tuple] = []
        categorical: list[tuple] = []
        tokens: list[str] = []
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
            num_bins=tuple(self.coders[column].num_bins for column, _ in continuous),
            ranks=tuple(self._rank(column) for column, *_ in categorical),
            turns=self.turns,
        )

    def _rank(self, column: int) -> tuple[float, ...]:
        """Where the categories of a column stand in their order, 0 to 1; () where it has none.

        Numbers, ordinal columns and codes have one.
        """
        coder, places = self.coders[column], None
        if isinstance(coder, NumericCoder):
            places = coder.middles
        elif isinstance(coder, CategoryCoder):
            ordinal = self.schema[coder.name].kind == "ordinal"
            places = np.arange(len(coder.levels)) if ordinal else rank_codes(coder.levels)
        if places is None:
            return ()
        ranks = rankdata(places, "ordinal") - 1
        return tuple((ranks / max(1, len(ranks) - 1)).tolist())

    def encode(self, df: pd.DataFrame, rng: np.random.Generator | None) -> Records:
        """Records of a conformed table; rng spreads granular values over their step.

        None: such values stand in the middle, so that equal rows are equal records.
        """
        return self._encode(df, len(df), rng)[0]

    def encode_given(
        self, df: pd.DataFrame, num_rows: int, rng: np.random.Generator, first: int = 0
    ) -> tuple[Records, np.ndarray]:
        """Records of a table that may lack columns, and which tokens it gives: bool [tokens].

        Cells become what the schema says, as `conform` does. A column with one value throughout
        is a condition: InputError where the model can never generate it. first: the number of the
        first row, if these are a piece of a longer table; the rng is that of the whole.
        """
        given = {name: _conform_given(df[name], self.schema[name]) for name in df.columns}
        for coder in self.coders:
            if coder.name in given and given[coder.name].nunique(dropna=False) == 1:
                _check_condition(given[coder.name], coder, self.schema[coder.name])
        return self._encode(pd.DataFrame(given), num_rows, rng, first)

    def _encode(
        self, df: pd.DataFrame, num_rows: int, rng: np.random.Generator | None, first: int = 0
    ) -> tuple[Records, np.ndarray]:
        continuous_parts, categorical_parts, tokens = self._parts
        encoded: dict[int, Any] = {}
        rngs = self._spawn(rng, first) if rng else [None] * len(self.coders)
        for i, (coder, column) in enumerate(zip(self.coders, self.schema.features, strict=True)):
            if column.name in df.columns:
                encoded[i] = coder.encode(to_values(df[column.name], column), rngs[i])
        categorical = np.zeros((num_rows, len(categorical_parts)), self.layout.code_dtype)
        continuous = np.zeros((num_rows, len(continuous_parts)), np.float32)
        known = np.zeros(len(tokens), bool)
        for j, (i, code, _, token) in enumerate(categorical_parts):
            if i in encoded:
                known[token] = True
                found = encoded[i]
                part = found[0] if isinstance(found, tuple) else found
                categorical[:, j] = part if part.ndim == 1 else part[:, code]
        for j, (i, token) in enumerate(continuous_parts):
            if i in encoded:
                known[token] = True
                continuous[:, j] = encoded[i][1]
        return Records(continuous, categorical), known

    def _spawn(self, rng: np.random.Generator, first: int) -> list[np.random.Generator]:
        """One stream per coder, which takes one number per row, from row `first` on.

        So a row depends neither on the other columns nor on which rows are asked for.
        """
        rngs = rng.spawn(len(self.coders))
        for one in rngs:
            bits = one.bit_generator
            assert isinstance(bits, np.random.PCG64)  # which default_rng makes
            bits.advance(first)
        return rngs

    def order_shares(self, shares: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Shares of the categories of each categorical part, from those of each coder.

        A code set has the share of yes for each of its codes instead.
        """
        ordered = []
        for i, code, _, _ in self._parts[1]:
            part = np.asarray(shares[i])
            if isinstance(self.coders[i], CodeSetCoder):
                part = np.array([1.0 - part[code], part[code]])
            ordered.append(part)
        return tuple(ordered)

    def decode(self, records: Records, rng: np.random.Generator, first: int = 0) -> pd.DataFrame:
        """A table with the schema's columns, order and dtypes; ids are fresh.

        first: the number of the first row, as of `encode_given`. No dtype depends on the rows.
        """
        continuous_parts, categorical_parts, _ = self._parts
        num_rows = len(records.continuous)
        scores = {i: records.continuous[:, j] for j, (i, _) in enumerate(continuous_parts)}
        codes: dict[int, list] = {}
        for j, (i, code, _, _) in enumerate(categorical_parts):
            codes.setdefault(i, []).append((code, records.categorical[:, j]))
        columns, rngs = {}, self._spawn(rng, first)
        for i, (coder, column) in enumerate(zip(self.coders, self.schema.features, strict=True)):
            parts = [values for _, values in sorted(codes.get(i, []), key=lambda part: part[0])]
            if isinstance(coder, NumericCoder):
                gate = parts[0] if parts else np.zeros(num_rows, int)
                values = pd.Series(coder.decode(gate, scores.get(i, np.zeros(num_rows))))
            elif isinstance(coder, CodeSetCoder):
                values = coder.decode(np.stack(parts, axis=1), rngs[i])
            else:
                values = coder.decode(parts[0] if parts else np.zeros(num_rows, int), rngs[i])
            whole_days = isinstance(coder, NumericCoder) and coder.is_whole
            columns[column.name] = to_dtype(values, column, coder.has_missing, whole_days)
        for column in self.schema.columns:
            if column.kind in ID_KINDS:
                columns[column.name] = fresh_ids(num_rows, column, first)
        return pd.DataFrame(columns)[list(self.schema.names)]

    def share_masked(self, records: Records) -> pd.DataFrame:
        """Of each cell's categorical parts, the share [rows, columns that have any] not drawn."""
        masked = records.categorical == np.array(self.layout.cardinalities, np.int64)
        places: dict[str, list[int]] = {}
        for j, (i, *_) in enumerate(self._parts[1]):
            places.setdefault(self.coders[i].name, []).append(j)
        return pd.DataFrame({name: masked[:, at].mean(axis=1) for name, at in places.items()})

    def notes(self) -> list[str]:
        """What was merged and what is fitted, in words for the report."""
        notes = []
        for coder in self.coders:
            if not isinstance(coder, NumericCoder) and coder.num_rare:
                notes.append(
                    f"{coder.name}: {coder.num_rare} values held by fewer than "
                    f"{self.min_patients} patients are never generated."
                )
        notes.append(
            f"Quantile knots are means over at least {self.min_patients} patients each, the lowest "
            "and highest of each window left out; no fitted extreme is one person's value."
        )
        return notes

    def to_json(self) -> dict:
        return {
            "version": VERSION,
            "min_patients": self.min_patients,
            "schema": self.schema.to_json(),
            "coders": [_listed(coder.to_json()) for coder in self.coders],
            "turns": list(self.turns),
        }

    @classmethod
    def from_json(cls, data: dict) -> Codec:
        """Inverse of `to_json`; raises InputError on another version."""
        require_version("codec", data.get("version"), VERSION)
        coders = []
        for fields in data["coders"]:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            coders.append(CODERS[fields.pop("coder")](**fields))
        schema, turns = Schema.from_json(data["schema"]), tuple(data.get("turns", ()))
        return cls(schema, tuple(coders), data["min_patients"], turns)


def number_patients(df: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Whose each row is, from 0 in order of the ids as text: no order of rows matters. int [rows]

    Without a column of the entity, each row is a patient.
    """
    if schema.entity not in df.columns:
        return np.arange(len(df))
    return pd.factorize(df[schema.entity].to_numpy().astype(str), sort=True)[0]


def count_shares(records: Records, layout: Layout) -> tuple[np.ndarray, ...]:
    """Per categorical part, the rows [K_j] with each category, half a row more for all."""
    return tuple(
        np.bincount(records.categorical[:, j], minlength=cardinality)[:cardinality] + 0.5
        for j, cardinality in enumerate(layout.cardinalities)
    )


def _coder_of(column: Column) -> type[Coder]:
    if column.is_numeric:
        return NumericCoder
    return CodeSetCoder if column.kind == "code_set" else CategoryCoder


def _listed(fields: dict) -> dict:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


def _learnt(column: Column, coder: Coder) -> Column:
    """The column without categories that the coder left out as too rare to release."""
    if not column.categories or column.public or isinstance(coder, NumericCoder):
        return column
    codes = coder.codes if isinstance(coder, CodeSetCoder) else coder.levels
    return replace(column, categories=codes)


def _conform_given(values: pd.Series, column: Column) -> pd.Series:
    """The given cells in memory's types; raises InputError on one that cannot be read."""
    values = values.reset_index(drop=True)
    found, problems = coerce(values, column)
    for problem in problems:
        raise input_error(f"column {column.name!r}", problem.describe(values), problem.fix)
    return found


def _check_condition(values: pd.Series, coder: Coder, column: Column) -> None:
    """Refuses a value, held by all rows, that the model cannot generate."""
    where, value = f"column {coder.name!r}", plain(values.iloc[0])
    wanted: Iterable[object]
    known: tuple
    if pd.isna(value):
        if not coder.has_missing:
            raise input_error(where, "is never missing in the training rows", "give a value")
        return
    if isinstance(coder, NumericCoder):
        number = float(to_values(values, column).iloc[0])
        low = -np.inf if coder.lower is None else coder.lower
        high = np.inf if coder.upper is None else coder.upper
        if not low <= number <= high:
            problem = f"value {value} is out of bounds"
            raise input_error(where, problem, f"use one in {low} to {high}")
        if coder.has_continuous:
            return
        wanted, known = [number], coder.spikes
    elif isinstance(coder, CodeSetCoder):
        wanted, known = explode_codes(values.head(1), coder.delimiter)["code"], coder.codes
    else:
        wanted, known = [value], coder.levels
    for item in wanted:
        if item not in known:
            problem = f"the model does not know the value {item!r}"
            raise input_error(where, problem, f"use one of {list(known)[:20]}")
