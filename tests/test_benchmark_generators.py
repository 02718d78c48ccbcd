"""Generators side by side: a copy is exact, costs are whole, and a program that fails says so."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import _generator_costs
import _generators
import benchmark_generators
from _generator_costs import add_ratios, describe_cost, measure, run_generator, summarise_seeds
from _generators import Generator, make_command
from _papers import read_grid
from _speed_tables import SPEED_TABLES

SCHEMA = Schema(tuple(Column(*pair) for pair in (("age", "integer"), ("dose", "continuous"),
                                                 ("sex", "categorical"))))  # fmt: skip
PYTHON = f"{sys.executable} -S -c"
PLAIN = {"train_cpu_s": 2.0, "total_cpu_s": 3.0, "records_per_cpu_s": 10.0}


def draw_table(rows, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 80, rows)
    sex = rng.choice(["F", "M"], rows)
    return pd.DataFrame({"age": age, "dose": age + rng.normal(size=rows), "sex": sex})


PARTS = {"train": draw_table(200), "test": draw_table(100, 1)}


def run(text, folder, rows=200):
    PARTS["train"].to_csv(folder / "train.csv", index=False)
    generator = make_command(text, SCHEMA, rows, folder)
    return run_generator(generator, 3, PARTS, SCHEMA, rows)


def test_a_program_that_copies_has_no_error(tmp_path):
    (row,) = run("copy: cp {train} {out}", tmp_path).values()
    assert row["shape_error"] == row["trend_error"] == pytest.approx(0.0, abs=1e-9)
    assert row["train_s"] is None and row["records_per_s"] is None and row["total_s"] > 0


def test_a_program_that_shuffles_a_column_has_trend_error_alone(tmp_path):
    mix = ("import random; head, *lines = open('{train}').read().split(); "
           "cells = [l.split(',') for l in lines]; last = [c[0] for c in cells]; "
           "random.Random({seed}).shuffle(last); "
           "open('{out}', 'w').write('\\n'.join([head] + "
           "[','.join([a] + c[1:]) for a, c in zip(last, cells)]))")  # fmt: skip
    (row,) = run(f'mix: {PYTHON} "{mix}"', tmp_path).values()
    assert row["shape_error"] == pytest.approx(0.0, abs=1e-9) and row["trend_error"] > 5


@pytest.mark.parametrize(
    "text, rows, message",
    [
        ("bad: false {train} {out}", 200, "--command=bad: ended with exit status 1.*false /"),
        ("none: /no/such {train} {out}", 200, "name a program that is here"),
        ("idle: true {train} {out}", 200, "wrote no table"),
        ("cut: sh -c 'cut -d, -f1,3 {train} > {out}'", 200, "lacks the columns 'dose'"),
        ("few: sh -c 'head -9 {train} > {out}'", 200, "has 8 rows.*write 200"),
        ("blind: true {out}", 200, r"does not name \{train\}"),
    ],
)
def test_a_program_that_fails_is_named_with_the_fix(text, rows, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(text, tmp_path, rows)


def test_an_old_table_is_not_taken_for_a_new_one(tmp_path):
    run("copy: cp {train} {out}", tmp_path)
    with pytest.raises(InputError, match="wrote no table"):
        run("idle: true {train} {out}", tmp_path)


def test_processor_seconds_are_those_of_work_here_and_in_children_not_of_waiting():
    def spin(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    burn = "import time\nwhile time.process_time() < 0.3: pass"
    _, child = measure(lambda: os.spawnv(os.P_WAIT, sys.executable, ["python", "-S", "-c", burn]))
    _, own = measure(lambda: spin(0.1))
    _, idle = measure(lambda: time.sleep(0.2))
    assert child[1] >= 0.29 and own[1] >= 0.09
    assert idle[0] >= 0.2 and idle[1] < 0.1


def test_all_keep_to_the_same_cores(monkeypatch):
    limits = {}
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 1, 3}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: limits.update(cores=cores), False)
    monkeypatch.setattr(
        _generator_costs, "threadpool_limits", lambda count: limits.update(pools=count)
    )
    assert _generator_costs.keep_to_cores(2) == 2 and limits == {"cores": [1, 3], "pools": 2}
    assert os.environ["OMP_NUM_THREADS"] == "2" and _generator_costs.keep_to_cores(9) == 3


def test_training_and_drawing_are_told_apart_where_they_can_be():
    costs = np.array([4.0, 2.0]), np.array([1.0, 0.5])
    apart = describe_cost(*costs, rows=10, whole=False)
    assert apart["train_s"] == 4 and apart["sample_cpu_s"] == 0.5
    assert apart["records_per_s"] == 10 and apart["records_per_cpu_s"] == 20
    whole = describe_cost(*costs, rows=10, whole=True)
    assert whole["total_s"] == apart["total_s"] == 5 and whole["total_cpu_s"] == 2.5
    assert whole.keys() == apart.keys() and whole["sample_s"] is None


def test_ratios_say_how_often_ours_is_faster():
    rows = {"ours, NFE 8": PLAIN, "slow": {k: v * 4 for k, v in PLAIN.items()} | {
        "records_per_cpu_s": 2.0}, "theirs": PLAIN | {"train_cpu_s": None}}  # fmt: skip
    found = add_ratios(rows)
    assert found["slow"]["ours trains faster, times"] == 4
    assert found["slow"]["ours samples faster, NFE 8, times"] == 5
    assert found["slow"]["ours does both faster, NFE 8, times"] == 4
    assert found["theirs"]["ours trains faster, times"] is None
    assert add_ratios({"slow": PLAIN}) == {"slow": PLAIN}


def test_a_row_summarises_the_seeds_and_leaves_gaps():
    runs = [{"a": {"x": 1.0, "y": None}}, {"a": {"x": 3.0, "y": None}}]
    (row,) = summarise_seeds(runs)
    assert row["generator"] == "a" and row["seeds"] == 2 and row["y"] is None
    assert row["x"]["mean"] == 2 and row["x"]["values"] == [1.0, 3.0]


def test_record_of_a_run(tmp_path, monkeypatch):
    fields = {"data": "toy", "data_dir": None, "generators": ["independent_marginals"],
              "command": ["copy: cp {train} {out}"], "rows": None, "seeds": ["0", "1"],
              "cores": 1, "record": None}  # fmt: skip
    monkeypatch.setattr(benchmark_generators, "load_split", lambda *_: (PARTS, SCHEMA))
    monkeypatch.setattr(benchmark_generators, "keep_programs", lambda _: None)
    monkeypatch.setattr(benchmark_generators, "keep_to_cores", lambda count: count)
    for module in (benchmark_generators, _generators, sys.modules["_results"]):
        monkeypatch.setattr(module, "FLAGS", SimpleNamespace(**fields))
    benchmark_generators.benchmark(tmp_path)
    record = json.loads((tmp_path / "generators.json").read_text())
    copy, apart = record["tables"]["generators"]
    assert [copy["generator"], apart["generator"]] == ["copy", "independent_marginals"]
    assert copy["trend_error"]["values"] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert apart["trend_error"]["mean"] > 5 and len(set(apart["trend_error"]["values"])) == 2
    assert "| copy | 2 | not given |" in (tmp_path / "generators.md").read_text()


def test_each_seed_trains_anew(tmp_path):
    seen = []
    generator = Generator(lambda seed: seen.append(seed) or {"again": lambda: PARTS["train"]})
    for seed in (0, 1):
        run_generator(generator, seed, PARTS, SCHEMA, 200)
    assert seen == [0, 1]


def test_the_table_for_the_readme_reads_what_is_recorded():
    scores = {"shape_error": 1.0, "trend_error": 2.0, "detection_auc": 0.5}
    costs = {"ours, NFE 32": 4.0, "ours, NFE 8": 1.0, "CTGAN": 0.5, "copy": 2.0}
    rows = {
        name: describe_cost(np.array([8.0, 8.0]), np.full(2, spent), 80, name == "copy") | scores
        for name, spent in costs.items()
    }
    record = {"tables": {"generators": summarise_seeds([add_ratios(rows)])}}
    grid = read_grid(SPEED_TABLES["generators"], record)
    assert list(grid) == list(costs)
    assert str(grid["CTGAN"]["ours with NFE 8 samples faster, times"]) == "0.500"
    assert str(grid["ours, NFE 32"]["ours with NFE 8 samples faster, times"]) == "4.000"
    assert str(grid["copy"]["processor seconds to train"]) == "–"
