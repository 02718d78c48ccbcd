"""A codec from public knowledge and noisy counts, for runs with differential privacy.

Whatever the codec holds is either written in a public schema or read off one vector of histograms
with Gaussian noise; `Codec.fit` reads exact quantiles, spikes and vocabularies instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from synthdiff._validate import InputError
from synthdiff.data.categories import CategoryCoder, CodeSetCoder, find_codes
from synthdiff.data.codec import Codec, Coder
from synthdiff.data.dtypes import to_values
from synthdiff.data.numeric import BIN_ROWS, MAX_BINS, MAX_SCORE, SPIKE_SHARE, NumericCoder
from synthdiff.data.schema import Column, Schema

PARTS, HALVINGS, MAX_POINTS = 16, 12, 256
FALSE_SPIKES = 0.01  # chance that noise alone makes a spike in a column
TAIL = 0.002  # share of the last cell where its noisy count is not positive


def require_public(schema: Schema) -> None:
    """Raises one InputError that lists every column whose coder would need a look at the data."""
    problems = [
        f"column {column.name!r}: {problem}. Fix: {fix}."
        for column in schema.features
        for problem, fix in [_find_gap(column)]
        if problem
    ]
    if problems:
        intro = "differential privacy needs a public schema; these columns would be read from data:"
        raise InputError("\n  ".join([intro, *problems]))


def _find_gap(column: Column) -> tuple[str | None, str]:
    call = f"schema.edit({column.name!r}, "
    if column.is_numeric and None in (column.lower, column.upper):
        fix = f"{call}lower=..., upper=..., public=True) with bounds known without the data"
        return "its bounds are not declared", fix
    if not column.is_numeric and not column.categories:
        fix = f"{call}categories=(...), public=True) with the codebook's list"
        return "its values are not listed", fix
    if not column.public:
        what = "bounds and step" if column.is_numeric else "categories"
        return (
            f"its {what} are not marked public",
            f"{call}public=True) if the codebook states them",
        )
    return None, ""


def cap_rows(
    df: pd.DataFrame, patients: np.ndarray, max_rows: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """At most max_rows random rows of each patient, and whose they are: number [rows]."""
    order = rng.permutation(len(df))
    place = pd.Series(patients[order]).groupby(patients[order]).cumcount().to_numpy()
    kept = np.sort(order[place < max_rows])
    return df.iloc[kept].reset_index(drop=True), patients[kept]


@dataclass(frozen=True)
class Grid:
    """The public cells of one column, and which of them each row falls into.

    edges: of the cells of a number. points: candidate spikes, or the levels of a category.
    The counts of a column are cells, points and missing, in that order.
    """

    edges: np.ndarray
    points: tuple

    @classmethod
    def of(cls, column: Column) -> Grid:
        if column.is_numeric:
            return cls(_make_edges(column), tuple(_find_candidates(column).tolist()))
        return cls(np.zeros(1), () if column.kind == "code_set" else column.categories)

    @property
    def num_cells(self) -> int:
        return len(self.edges) - 1

    @property
    def size(self) -> int:
        return self.num_cells + len(self.points) + 1

    @property
    def hits(self) -> int:
        """Counts that one row can add to: its cell and its point."""
        return 1 + (self.num_cells > 0)

    def count(self, values: pd.Series) -> np.ndarray:
        """Rows per cell, point and missing [size]."""
        missing = values.isna().to_numpy()
        present = values[~missing]
        cells: np.ndarray = np.zeros(self.num_cells)
        if self.num_cells:
            x = present.to_numpy(dtype=float)
            cell = np.clip(np.searchsorted(self.edges, x, "right") - 1, 0, self.num_cells - 1)
            cells = np.bincount(cell, minlength=self.num_cells)
        codes = find_codes(present, self.points)
        points = np.bincount(codes[codes >= 0], minlength=len(self.points))
        return np.concatenate([cells, points, [missing.sum()]]).astype(float)


def _get_bounds(column: Column) -> tuple[float, float]:
    assert column.lower is not None and column.upper is not None  # others were refused
    return column.lower, column.upper


def _make_edges(column: Column) -> np.ndarray:
    """Sixteenths of the range, the lowest of them halved again and again: for skewed amounts."""
    low, high = _get_bounds(column)
    width = high - low
    halves = width / PARTS * 0.5 ** np.arange(1, HALVINGS + 1)
    edges = np.concatenate([np.linspace(0.0, width, PARTS + 1), halves]) + low
    if step := get_step(column):  # cell borders lie halfway between steps
        steps = np.append(np.unique(np.rint(edges / step)), np.floor(high / step) + 1)
        return np.unique(steps - 0.5) * step
    return np.unique(edges)


def _find_candidates(column: Column) -> np.ndarray:
    """Where a spike may be: the bounds, fortieths, 1-2-5 numbers, and whole steps if not many."""
    (low, high), step = _get_bounds(column), get_step(column)
    found: list[np.ndarray] = [np.linspace(low, high, 41)]
    found += [np.array([-1.0, 1.0]) * digit * 10.0**k for k in range(-2, 7) for digit in (1, 2, 5)]
    grain = step or 1.0
    if (high - low) / grain <= MAX_POINTS:
        found.append(np.arange(np.ceil(low / grain), np.floor(high / grain) + 1) * grain)
    points = np.unique(np.concatenate([*found, [0.0]]).round(9))
    points = points[(points >= low) & (points <= high)]
    return points[np.abs(points / step - np.rint(points / step)) < 1e-9] if step else points


def get_step(column: Column) -> float | None:
    """The declared step; whole numbers have 1."""
    return column.step or (1.0 if column.kind == "integer" else None)


def measure_sensitivity(grids: tuple[Grid, ...]) -> float:
    """L2 change of all counts together when one patient (of weight at most 1) comes or goes."""
    return float(np.sqrt(sum(grid.hits for grid in grids)))


def fit_private_codec(
    df: pd.DataFrame,
    schema: Schema,
    max_rows: int,
    noise_multiplier: float,
    min_patients: int,
    rng: np.random.Generator,
) -> tuple[Codec, tuple[np.ndarray, ...], dict, tuple[np.ndarray, ...]]:
    """The codec, the shares of all categories and their line in the ledger, from one Gaussian
    release of all histograms, and these as released: noisy counts of each column [its grid's size].

    df: a conformed table with at most max_rows rows per patient. A row weighs 1 / max_rows, so a
    patient weighs at most 1 and the counts are in patients. Nothing else is read from df.
    """
    require_public(schema)
    grids = tuple(map(Grid.of, schema.features))
    sensitivity = measure_sensitivity(grids)
    spread = noise_multiplier * sensitivity
    coders, shares, released = [], [], []
    for column, grid in zip(schema.features, grids, strict=True):
        counts = grid.count(to_values(df[column.name], column)) / max_rows
        noisy = counts + rng.normal(0.0, spread, grid.size)
        coders.append(_make_coder(column, grid, noisy, spread))
        shares.append(_read_shares(coders[-1], grid, noisy))
        released.append(noisy)
    entry = {
        "step": "codec: quantiles, spikes, shares and missing flags from noisy histograms",
        "mechanism": "Gaussian",
        "noise_multiplier": noise_multiplier,
        "sensitivity_l2": sensitivity,
        "noise_std_patients": spread,
        "columns": len(grids),
        "counts": sum(grid.size for grid in grids),
    }
    codec = Codec(schema, tuple(coders), min_patients)
    return codec, codec.order_shares(shares), entry, tuple(released)


def _make_coder(column: Column, grid: Grid, noisy: np.ndarray, spread: float) -> Coder:
    cells, points, (missing,) = np.split(noisy, [grid.num_cells, grid.size - 1])
    has_missing = bool(missing > 3.0 * spread)
    if column.kind == "code_set":
        return CodeSetCoder(column.name, column.categories, column.delimiter, 0, has_missing)
    if column.is_categorical:
        cleared = _clear(points)
        shares = tuple((cleared / cleared.sum()).tolist())
        return CategoryCoder(column.name, column.categories, shares, 0, has_missing)
    limit = max(
        SPIKE_SHARE * max(cells.sum(), 0.0), -spread * ndtri(FALSE_SPIKES / max(len(points), 1))
    )
    spikes = np.asarray(grid.points)[points > limit]
    where = np.clip(np.searchsorted(grid.edges, spikes, "right") - 1, 0, grid.num_cells - 1)
    rest = cells - np.bincount(where, points[points > limit], minlength=grid.num_cells)
    scores, values = _draw_curve(grid.edges, rest, spread)
    return NumericCoder(
        column.name,
        min(MAX_BINS, max(1, int(rest.sum()) // BIN_ROWS)),
        tuple(spikes.tolist()),
        has_missing,
        tuple(scores.tolist()),
        tuple(values.tolist()),
        get_step(column),
        column.lower,
        column.upper,
    )


def _read_shares(coder: Coder, grid: Grid, noisy: np.ndarray) -> np.ndarray:
    """Positive weights of a coder's categories; even ones for codes, which are not counted."""
    if isinstance(coder, CodeSetCoder):
        return np.full(len(coder.codes) + coder.has_missing, 0.5)
    cells, points, missing = np.split(noisy, [grid.num_cells, grid.size - 1])
    if isinstance(coder, NumericCoder):
        points = points[np.isin(grid.points, coder.spikes)]
        inside = max(cells.sum() - points.sum(), 0.0) / coder.num_bins
        points = np.concatenate([np.full(coder.num_bins, inside), points])
    return _clear(np.concatenate([points, missing[: coder.has_missing]]))


def _clear(noisy: np.ndarray) -> np.ndarray:
    """Positive counts of the same total: all less one amount that makes up for cutting at zero.

    Cutting alone would give what noise made of rare values to them ("norm-sub": Wang et al. 2020,
    arXiv 1905.08320). What falls below keeps a thousandth of the largest.
    """
    total, falling = max(noisy.sum(), 1.0), np.sort(noisy)[::-1]
    cuts = (np.cumsum(falling) - total) / np.arange(1, len(noisy) + 1)
    cut = cuts[np.flatnonzero(falling > cuts)[-1]]
    return np.maximum(noisy - cut, 1e-3 * max(noisy.max() - cut, 1.0))


def _draw_curve(
    edges: np.ndarray, counts: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores and values of knots: cells are joined until they stand out of the noise."""
    ends: list[float] = []
    masses: list[float] = []
    mass, joined = 0.0, 0
    for end, count in zip(edges[1:], counts, strict=True):
        mass, joined = mass + count, joined + 1
        if mass >= 2.0 * spread * np.sqrt(joined):
            ends, masses, mass, joined = [*ends, end], [*masses, mass], 0.0, 0
    if not ends:
        return np.array([-2.0, 2.0]), edges[[0, -1]]
    if ends[-1] < edges[-1]:  # what is left over is the tail
        ends, masses = [*ends, edges[-1]], [*masses, max(mass, TAIL * sum(masses))]
    levels = np.cumsum(masses[:-1]) / np.sum(masses)
    scores = np.concatenate([[-MAX_SCORE], ndtri(levels), [MAX_SCORE]])
    return scores, np.concatenate([edges[:1], ends])


def list_public(schema: Schema) -> dict[str, str]:
    """What the schema declares, column by column: the part of the ledger that costs nothing."""
    said = {}
    for column in schema.features:
        known = f"{len(column.categories)} values"
        if column.is_numeric:
            known = f"bounds [{column.lower:g}, {column.upper:g}], step {get_step(column)}"
        said[column.name] = f"{column.kind}, dtype {column.dtype}, {known}"
    return said
