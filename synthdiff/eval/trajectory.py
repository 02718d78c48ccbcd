"""How synthetic rows come out of noise: what of them is drawn after so many steps, as shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synthdiff.data.codec import Codec
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import category_keys, numeric_values
from synthdiff.eval.levels import MISSING
from synthdiff.eval.marginals import OTHER, choose_edges
from synthdiff.layout import Records

MAX_LEVELS = 6
NOISE_EDGES = np.linspace(-3.0, 3.0, 32)  # odd bins: one of them holds 0
Shown = list[pd.Series]  # a column after so many steps: the cells of it that are drawn by then


def summarise_states(states: Mapping[int, Records], codec: Codec) -> dict:
    """The states of `sampling.draw_states` as shares of rows, without any row.

    states: {steps taken: the same rows then}; after the last step they are finished.
    masked: share of cells that are not drawn yet, at each step. noise: how far the continuous
    parts are from where they end; None where there are none. columns: of the numeric column that
    is spread most evenly, and of the target, or else of the first categories: the share of all
    rows that show each bin or level by then.
    """
    steps = sorted(states)
    masked = [codec.share_masked(states[step]) for step in steps]
    tables = [codec.decode(states[step], np.random.default_rng(0)) for step in steps]
    last = states[steps[-1]].continuous
    gaps = [states[step].continuous - last for step in steps]
    shown = {
        column.name: [
            table[column.name][cells[column.name] == 0 if column.name in cells else slice(None)]
            for table, cells in zip(tables, masked, strict=True)
        ]
        for column in codec.schema.features
    }
    return {
        "rows": len(last),
        "steps": steps,
        "masked": [float(cells.to_numpy().mean()) if cells.size else 0.0 for cells in masked],
        "noise": _share_noise(gaps) if last.size else None,
        "columns": _choose_columns(shown, len(last), codec.schema),
    }


def _share_noise(gaps: list[np.ndarray]) -> dict:
    """Root mean square and histogram, in units of a column's spread; shares of what is within."""
    counts = [np.histogram(gap, NOISE_EDGES)[0] for gap in gaps]
    return {
        "distance": [float(np.sqrt(np.mean(gap**2))) for gap in gaps],
        "edges": NOISE_EDGES.tolist(),
        "shares": [(count / max(1, count.sum())).tolist() for count in counts],
    }


def _choose_columns(shown: Mapping[str, Shown], rows: int, schema: Schema) -> dict:
    """The most even of the numeric columns, then the target or the first categories."""
    second = [column for column in schema.features if column.name == schema.target]
    second += [column for column in schema.features if column.is_categorical]
    numbers = {}
    for column in schema.features:
        if column.is_numeric and (found := _share_bins(shown[column.name], rows, column)):
            numbers[column.name] = found
    own = {}
    for column in second[:1]:
        if column.is_categorical:
            own[column.name] = _share_levels(shown[column.name], rows, column)
        elif column.name in numbers:
            own[column.name] = numbers.pop(column.name)
    first = sorted(numbers, key=lambda name: max(numbers[name]["shares"][-1]))[:1]
    return {name: numbers[name] for name in first} | own


def _share_bins(shown: Shown, rows: int, column: Column) -> dict | None:
    """A numeric column's share of rows in each bin; values beyond the last edges count there."""
    values = [numeric_values(cells, column) for cells in shown]
    values = [x[~np.isnan(x)] for x in values]
    edges = choose_edges(values[-1], np.arange(len(values[-1])), column) if rows else None
    if edges is None:
        return None
    counts = [np.histogram(np.clip(x, edges[0], edges[-1]), edges)[0] for x in values]
    shares = [(count / rows).tolist() for count in counts]
    dates = column.kind == "datetime"
    return {"kind": "numeric", "dates": dates, "edges": edges.tolist(), "shares": shares}


def _share_levels(shown: Shown, rows: int, column: Column) -> dict:
    """A categorical column's share of rows with each of its commonest levels and the rest."""
    keys = [pd.Series(category_keys(cells), dtype=object).fillna(MISSING) for cells in shown]
    common = keys[-1].value_counts().index[:MAX_LEVELS]
    order: Sequence = [*category_keys(pd.Series(column.categories, dtype=object)), *sorted(common)]
    labels = [key for key in dict.fromkeys(order) if key in set(common)]
    counts = [found.where(found.isin(labels), OTHER).value_counts() for found in keys]
    labels += [OTHER] if any(OTHER in count for count in counts) else []
    shares = [[float(count.get(label, 0)) / rows for label in labels] for count in counts]
    return {"kind": "categorical", "labels": labels, "shares": shares}
