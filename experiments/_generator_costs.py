"""What a generator costs and how good its tables are, and both beside ours."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from _generators import Generator
from _scores import summarise
from threadpoolctl import threadpool_limits

from synthdiff._validate import input_error
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.eval.detection import detection_auc
from synthdiff.eval.protocol.shape import shape_error
from synthdiff.eval.protocol.tables import Roles, prepare
from synthdiff.eval.protocol.trend import trend_error

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # XLA reads the last
Row = dict[str, float | None]


def keep_to_cores(cores: int) -> int:
    """Leaves this process and its children that many cores, or those there are; how many."""
    if not hasattr(os, "sched_setaffinity"):
        raise input_error("--cores", "this system binds no process to cores", "use Linux")
    found = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, found)
    threadpool_limits(len(found))  # pools that began on import
    os.environ |= dict.fromkeys(THREADS, str(len(found)))
    return len(found)


def measure(call: Callable[[], object]) -> tuple[object, np.ndarray]:
    """What the call gives; seconds of the clock, and of the processor by us and ended children."""
    before = read_clocks()
    found = call()
    return found, read_clocks() - before


def read_clocks() -> np.ndarray:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(use.ru_utime + use.ru_stime for use in uses)])


def run_generator(
    generator: Generator, seed: int, parts: dict[str, pd.DataFrame], schema: Schema, rows: int
) -> dict[str, Row]:
    """Trains and draws; costs and scores by the name of the table."""
    draws, train = measure(lambda: generator.train(seed))
    found = {}
    for name, draw in draws.items():
        table, sample = measure(draw)
        cost = describe_cost(train, sample, rows, generator.whole)
        found[name] = cost | score(table, parts, schema)
        print(f"{name}, seed {seed}: {found[name]}", flush=True)
    return found


def describe_cost(train: np.ndarray, sample: np.ndarray, rows: int, whole: bool) -> Row:
    """Seconds, and records per second of drawing; whole: the two cannot be told apart."""
    row: Row = {}
    for i, unit in enumerate(("s", "cpu_s")):
        apart = {f"train_{unit}": float(train[i]), f"sample_{unit}": float(sample[i]),
                 f"records_per_{unit}": rows / float(sample[i])}  # fmt: skip
        row |= dict.fromkeys(apart) if whole else apart
        row[f"total_{unit}"] = float(train[i] + sample[i])
    return row


def score(table: pd.DataFrame, parts: dict[str, pd.DataFrame], schema: Schema) -> Row:
    """Shape and trend error against the training rows, detection against the test rows."""
    table = conform(table, replace(schema, columns=schema.features))
    real, other = prepare(parts["train"], schema), prepare(table, schema)
    found, roles = detection_auc(parts["test"], table, schema, 0), Roles.from_schema(schema)
    if "skipped" in found:
        raise input_error("--rows", found["skipped"], "draw more rows")
    return {
        "shape_error": float(shape_error(real, other, roles)),
        "trend_error": float(trend_error(real, other, roles)),
        "detection_auc": float(found["value"]),
    }


def add_ratios(rows: dict[str, Row]) -> dict[str, Row]:
    """The rows of one seed, each with how often ours is faster, in processor seconds."""
    ours = {name.partition(", ")[2]: row for name, row in rows.items() if name.startswith("ours, ")}

    def compare(row: Row) -> Row:
        found: Row = {}
        for name, own in ours.items():
            found["ours trains faster, times"] = divide(row, own, "train_cpu_s")
            found[f"ours samples faster, {name}, times"] = divide(own, row, "records_per_cpu_s")
            found[f"ours does both faster, {name}, times"] = divide(row, own, "total_cpu_s")
        return found

    return {name: row | compare(row) for name, row in rows.items()}


def divide(above: Row, below: Row, name: str) -> float | None:
    a, b = above[name], below[name]
    return None if a is None or b is None else a / b


def summarise_seeds(runs: list[dict[str, Row]]) -> list[dict]:
    """A row per generator: mean, standard deviation over seeds and the single values."""
    rows = []
    for name, first in runs[0].items():
        known = [key for key, value in first.items() if value is not None]
        summary = summarise([{key: run[name][key] for key in known} for run in runs])
        rows.append({"generator": name, "seeds": len(runs)} | dict.fromkeys(first) | summary)
    return rows
