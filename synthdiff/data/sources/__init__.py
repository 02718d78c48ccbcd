"""Public health data sets, each as a table and its schema: `load("rand_hie")`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.data.sources.brfss import load_brfss
from synthdiff.data.sources.diabetes130 import (
    load_diabetes130,
    load_diabetes130_benchmark,
    load_diabetes130_public,
)
from synthdiff.data.sources.mimic import load_mimic
from synthdiff.data.sources.rand_hie import load_rand_hie
from synthdiff.data.sources.simulate import simulate_cohort
from synthdiff.data.sources.synthea import load_synthea
from synthdiff.data.sources.uci import TABLES, load_uci

Loader = Callable[..., tuple[pd.DataFrame, Schema]]  # called with data_dir=..., **options

DATASETS: dict[str, Loader] = {
    "rand_hie": lambda data_dir=None: load_rand_hie(),
    "rand_hie_visits": lambda data_dir=None: load_rand_hie(visits=True),
    "diabetes130": load_diabetes130,
    "diabetes130_benchmark": load_diabetes130_benchmark,
    "diabetes130_public": load_diabetes130_public,
    "brfss": load_brfss,
    "mimic": load_mimic,
    "mimic_visits": partial(load_mimic, unit="visits"),
    "simulated_codes": lambda data_dir=None: simulate_cohort(20_000, num_codes=2000, seed=0)[:2],
    "synthea": load_synthea,
    **{name: partial(load_uci, name) for name in TABLES},
}


def load(
    name: str, data_dir: str | Path | None = None, **options: object
) -> tuple[pd.DataFrame, Schema]:
    """Loads a data set by name.

    Args:
      name: one of `DATASETS`.
      data_dir: folder that holds the files, plain or .gz, in it or in one folder per data set;
        default $SYNTHDIFF_DATA. `rand_hie` and `simulated_codes` need none; open UCI files are
        downloaded if absent.
      options: of that loader, for example `unit="patient"` for mimic.

    Raises:
      InputError: unknown name, or the files are absent or are not the published ones.
    """
    if name not in DATASETS:
        raise input_error("dataset", f"unknown name {name!r}", f"use one of {', '.join(DATASETS)}")
    return DATASETS[name](data_dir=data_dir, **options)
