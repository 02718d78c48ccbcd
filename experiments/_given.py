"""Tables to score and to attack: those of a run, or those that flags name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import pandas as pd
from _common import FLAGS
from _data import ROLES, describe_roles, find_schema
from _stages import read_run
from _visits import name_roles
from absl import flags

from synthdiff._files import make_folder
from synthdiff._validate import InputError, input_error
from synthdiff.data.conform import conform
from synthdiff.data.foreign import adapt, find_unknown
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table
from synthdiff.eval.features import check_table
from synthdiff.eval.game import patient_ids

PARTS = ("train", "test", "reference", "synthetic")


def define_csv_flags(parts: Sequence[str] = PARTS) -> None:
    for part in parts:
        flags.DEFINE_string(f"{part}_csv", None, f"{part} table, instead of the run's own")


def list_given(parts: Sequence[str]) -> list[str]:
    """The parts that flags name."""
    return [part for part in parts if FLAGS[f"{part}_csv"].value]


def read_tables(run_dir: Path, needed: Sequence[str]) -> tuple[dict[str, pd.DataFrame], Schema]:
    """The tables of the run, or those named by flags."""
    given = list_given(needed)
    if not given:
        return read_run(run_dir)
    if len(given) < len(needed):
        raise InputError(f"Name all of {', '.join(f'--{part}_csv' for part in needed)}.")
    paths = {part: FLAGS[f"{part}_csv"].value for part in needed}
    tables = {part: read_table(path) for part, path in paths.items()}
    spec = describe_roles()
    schema = name_roles(find_schema(tables["train"], spec, Path(paths["train"]).stem), spec)
    ready = {part: conform_part(part, paths[part], df, schema) for part, df in tables.items()}
    for part, df in tables.items():
        if extra := [name for name in df if name not in tables["train"].columns]:
            names = ", ".join(map(repr, extra))
            warn(part, paths[part], f"left out, as training rows have no such columns: {names}")
    for doubt in find_unknown(ready["synthetic"], ready["train"], schema):
        warn("synthetic", paths["synthetic"], doubt)
    make_folder(run_dir)
    return ready, schema


def warn(part: str, path: str, text: str) -> None:
    print(f"WARNING --{part}_csv={path}: {text}.")


def conform_part(part: str, path: str, df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """A table that a flag names, in the types of the schema; its errors say which table it is.

    Of the synthetic one, ids that are absent are made and broken numbers rounded, with a warning.
    """
    try:
        df, notes = adapt(df, schema) if part == "synthetic" else (df, [])
        df = conform(df, schema)
        check_table(df, schema, "table")
        patient_ids(df, schema, "the")
    except InputError as error:
        raise InputError(f"--{part}_csv={path}: {error}") from error
    for note in notes:
        warn(part, path, note)
    return df


def refuse_ignored(parts: Sequence[str]) -> None:
    """Raises InputError where a flag is given that would change nothing."""
    ignored = {"max_visits": "counts in training only"}
    if not list_given(parts):
        ignored |= dict.fromkeys(ROLES, "is of tables that flags name, and the run has its own")
    for name, problem in ignored.items():
        if FLAGS[name].present:
            raise input_error(f"--{name}", problem, "leave it out")


def alone(stage: Callable[[Path], None], parts: Sequence[str]) -> Callable[[Path], None]:
    """The stage as a script of its own, which says which flags it would ignore.

    Scores of tables that flags name go into a folder that a flag names, not over a run's own.
    """

    @wraps(stage)
    def checked(run_dir: Path) -> None:
        refuse_ignored(parts)
        if list_given(parts) and not FLAGS["run_dir"].present:
            problem = f"not given, and {run_dir} is for a run's own tables"
            raise input_error("--run_dir", problem, "name a folder for these scores")
        stage(run_dir)

    return checked
