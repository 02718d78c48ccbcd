"""What a score is over repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def describe_spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation of the sample and the single values; one value has no deviation."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": list(values)}
