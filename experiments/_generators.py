"""Generators of tables as calls that train and draw: ours, CTGAN, baselines and any program."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from _common import FLAGS
from _config import build_config
from _sampling_times import fit_steps

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.schema import Schema
from synthdiff.data.table import read_table
from synthdiff.eval.baselines import BASELINES, fit_ctgan
from synthdiff.synthesizer import fit

GENERATORS = (*BASELINES, "ctgan", "ours")
PLACES = ("{train}", "{out}", "{rows}", "{seed}")
Draw = Callable[[], pd.DataFrame]


class Generator(NamedTuple):
    """train: from a seed to what draws tables, by name. whole: drawing trains as well."""

    train: Callable[[int], dict[str, Draw]]
    whole: bool = False


def make_generators(
    train: pd.DataFrame, schema: Schema, rows: int, folder: Path
) -> list[Generator]:
    """Those that the flags name: programs of others first, which may fail, and ours last."""
    made = [make_command(text, schema, rows, folder) for text in FLAGS.command]
    for name in (name for name in GENERATORS if name in FLAGS.generators):
        if name in BASELINES:
            made.append(make_baseline(train, schema, rows, name))
        elif name == "ctgan":
            made.append(make_ctgan(train, schema, rows, FLAGS.ctgan_epochs))
        else:
            nfes = list(map(int, FLAGS.nfe))
            made.append(make_ours(train, schema, rows, build_config(), nfes))
    return made


def make_ours(
    train: pd.DataFrame, schema: Schema, rows: int, config: Config, nfes: Sequence[int]
) -> Generator:
    """One training, and a table for each number of network evaluations per record."""
    samplers = {f"ours, NFE {nfe}": fit_steps(config.sampler.name, nfe) for nfe in nfes}

    def run(seed: int) -> dict[str, Draw]:
        jax.clear_caches()
        model = fit(train, schema, config=config, seed=seed, progress=False)
        return {
            name: lambda sampler=sampler: model.sample(rows, seed=seed, sampler=sampler)
            for name, sampler in samplers.items()
        }

    return Generator(run)


def make_ctgan(train: pd.DataFrame, schema: Schema, rows: int, epochs: int) -> Generator:
    def run(seed: int) -> dict[str, Draw]:
        sample = fit_ctgan(train, schema, seed, epochs)
        return {f"CTGAN, {epochs} epochs": lambda: sample(rows)}

    return Generator(run)


def make_baseline(train: pd.DataFrame, schema: Schema, rows: int, name: str) -> Generator:
    def draw(seed: int) -> pd.DataFrame:
        return BASELINES[name](train, schema, rows, np.random.default_rng(seed))

    return Generator(lambda seed: {name: lambda: draw(seed)})


def make_command(text: str, schema: Schema, rows: int, folder: Path) -> Generator:
    """A program of others, from 'name: program {train} {out} ...'; `folder` holds train.csv."""
    name, _, line = text.partition(":")
    words, out = shlex.split(line), folder / "out.csv"
    if not all(any(place in word for word in words) for place in PLACES[:2]):
        fix = "write --command='name: program {train} {out} {rows} {seed}'"
        raise input_error(f"--command={text}", "does not name {train} and {out}", fix)

    def run(seed: int) -> pd.DataFrame:
        out.unlink(missing_ok=True)
        values = (folder / "train.csv", out, rows, seed)
        filled = [fill(word, dict(zip(PLACES, map(str, values), strict=True))) for word in words]
        run_program(name, filled)
        return read_output(name, out, schema, rows)

    return Generator(lambda seed: {name.strip(): lambda: run(seed)}, whole=True)


def fill(word: str, values: dict[str, str]) -> str:
    for place, value in values.items():
        word = word.replace(place, value)
    return word


def run_program(name: str, words: list[str]) -> None:
    """Runs it to its end, or says with which words it failed."""
    try:
        status = subprocess.run(words, check=False).returncode
    except OSError as error:
        raise input_error(f"--command={name}", str(error), "name a program that is here") from error
    if status:
        fix = f"make this run by itself: {shlex.join(words)}"
        raise input_error(f"--command={name}", f"ended with exit status {status}", fix)


def read_output(name: str, path: Path, schema: Schema, rows: int) -> pd.DataFrame:
    """The table that a program wrote, with every column and as many rows as were asked for."""
    if not path.exists():
        raise input_error(f"--command={name}", "wrote no table", "have it write a CSV to {out}")
    table = read_table(path)
    if lacking := [c.name for c in schema.features if c.name not in table]:
        problem = f"its table lacks the columns {', '.join(map(repr, lacking))}"
        raise input_error(f"--command={name}", problem, "write those of {train}")
    if len(table) != rows:
        problem = f"its table has {len(table)} rows"
        raise input_error(f"--command={name}", problem, f"write {rows}, which is {{rows}}")
    return table
