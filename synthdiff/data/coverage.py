"""Whether a fitted codec can express a table that it was not fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error
from synthdiff.data.categories import CategoryCoder, find_codes
from synthdiff.data.codec import Codec, Coder
from synthdiff.data.dtypes import to_values
from synthdiff.data.numeric import NumericCoder
from synthdiff.data.schema import Schema

MOST_OUTSIDE = 0.05  # of the numbers of a column; more look like another unit
_ELSEWHERE = "fit the first model to rows that have it, or name it in a public vocabulary there"


def require_covered(codec: Codec, df: pd.DataFrame, schema: Schema) -> None:
    """Raises InputError that lists what of a conformed table the codec would lose.

    That is another set or kind of columns, missing cells and values that the codec never saw, and
    numbers of which more than MOST_OUTSIDE lie beyond all that it draws. Values that it counts as
    too rare, and single codes of a code set, are no loss: it leaves out those of its own rows too.
    """
    learnt = {column.name: column.kind for column in codec.schema.features}
    given = {column.name: column.kind for column in schema.features}
    for name in [*learnt, *given]:
        if learnt.get(name) != given.get(name):
            kinds = [f"{found.get(name, 'absent')!r}" for found in (given, learnt)]
            problem = f"is {kinds[0]} here and {kinds[1]} in the first model"
            raise input_error(f"column {name!r}", problem, "give both one schema")
    if list(learnt) != list(given):
        fix = f"put them in this order: {', '.join(learnt)}"
        raise input_error("columns", "their order is not that of the first model", fix)
    lost = [
        _find_lost(coder, to_values(df[coder.name], schema[coder.name])) for coder in codec.coders
    ]
    if any(lost):
        raise InputError("\n".join(filter(None, lost)))


def _find_lost(coder: Coder, values: pd.Series) -> str | None:
    """What the coder cannot express of one column, as the text of an error."""
    where, missing = f"column {coder.name!r}", int(values.isna().sum())
    if missing and not coder.has_missing:
        return str(
            input_error(where, f"{missing} missing cells, and the codec knows none", _ELSEWHERE)
        )
    if isinstance(coder, NumericCoder):
        share = _share_outside(coder, values)
        if share > MOST_OUTSIDE:
            low, high = _ends(coder)
            problem = f"{share:.0%} of its numbers lie outside {low:g} to {high:g}"
            return str(input_error(where, problem, "give both tables the same unit"))
    elif isinstance(coder, CategoryCoder) and not coder.num_rare:
        unknown = values[(find_codes(values, coder.levels) < 0) & ~values.isna().to_numpy()]
        if len(unknown):
            problem = (
                f"{len(unknown)} cells hold {list(unknown.unique())[:5]}, unknown to the codec"
            )
            return str(input_error(where, problem, _ELSEWHERE))
    return None


def _ends(coder: NumericCoder) -> tuple[float, float]:
    known = (*coder.values, *coder.spikes)
    return min(known), max(known)


def _share_outside(coder: NumericCoder, values: pd.Series) -> float:
    x, (low, high) = values.dropna().to_numpy(float), _ends(coder)
    return float(np.mean((x < low) | (x > high))) if len(x) else 0.0
