"""Summaries, their Markdown, resuming, and the benchmark script as a user runs it."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from scripts import run_apart, run_here

from synthdiff._validate import InputError
from synthdiff.eval.protocol.record import format_markdown, summarise
from synthdiff.eval.protocol.resume import score_draws
from synthdiff.eval.protocol.score import METRICS, score_floor, score_table
from synthdiff.eval.protocol.tables import Roles

SCRIPT = "benchmark_quality.py"


def _scores(value, **other):
    return dict.fromkeys(METRICS, value) | other


def test_spread_over_seeds_and_over_samples_are_told_apart():
    summary = summarise([[_scores(1.0), _scores(3.0)], [_scores(4.0), _scores(8.0)]])
    score = summary["shape_error"]
    assert score["values"] == [2.0, 6.0] and score["mean"] == 4.0
    assert score["std_seeds"] == pytest.approx(np.sqrt(8))
    assert score["std_samples"] == pytest.approx((np.sqrt(2) + np.sqrt(8)) / 2)
    alone = summarise([[_scores(1.0)]])["mle"]
    assert alone["std_seeds"] is None and alone["std_samples"] is None


def test_a_skipped_score_stays_skipped_and_gives_its_reason():
    runs = [[_scores(1.0), _scores(1.0, mle={"skipped": "no target"})]]
    methods = {"a": {"seeds": [0], "num_samples": [2], "scores": summarise(runs)}}
    keys = ("dataset", "command", "commit", "device", "rows", "wall_seconds")
    record = dict.fromkeys(keys, "x") | {"versions": {"numpy": "2"}, "methods": methods}
    text = format_markdown(json.loads(json.dumps(record)))
    assert "- a, mle: no target" in text and "| 1.000 ± 0.000 |" in text and "nan" not in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(METRICS) + 4


def test_finished_tables_are_not_drawn_again(tmp_path):
    path, drawn = tmp_path / "m" / "scores.json", []

    def draw(index):
        drawn.append(index)
        return pd.DataFrame({"x": [index]})

    def run(count, settings=(1, 2)):
        score = lambda table: _scores(float(table["x"].iloc[0]))  # noqa: E731
        return score_draws(path, {"s": settings}, count, lambda: draw, score)["samples"]

    assert [s["mle"] for s in run(2)] == [0, 1] and drawn == [0, 1]
    assert run(2) == run(2) and drawn == [0, 1]
    assert len(run(3)) == 3 and drawn == [0, 1, 2]
    assert len(run(1)) == 1 and drawn == [0, 1, 2]
    with pytest.raises(InputError, match="begun with other flags"):
        run(3, settings=(1, 3))


def test_floor_and_copy_have_every_score():
    pytest.importorskip("xgboost", reason="pip install 'synthdiff[benchmark]'")
    rng = np.random.default_rng(0)
    x = rng.normal(size=900)
    table = pd.DataFrame({"x": x, "y": rng.normal(size=900), "c": np.where(x > 0, "a", "b")})
    train, test = table[:600], table[600:].reset_index(drop=True)
    roles = Roles(("x", "y"), ("c",), "c")
    floor = score_floor(train, test, roles)
    copy = score_table(train, test, train, roles)
    shuffled = table[:600].apply(lambda c: c.to_numpy()[rng.permutation(600)])
    broken = score_table(train, test, shuffled, roles)
    assert set(floor) == set(copy) == set(METRICS)
    assert copy["shape_error"] == copy["trend_error"] == 0 and copy["dcr_tie_aware"] == 100
    assert 0 < floor["shape_error"] < 8 and floor["mle"] == copy["mle"] > 0.95
    assert floor["dcr_chance"] == pytest.approx(80) and copy["dcr_chance"] < 70
    assert floor["dcr_tie_aware"] == pytest.approx(80, abs=9)
    assert broken["detection_300"] > 0.68 > 0.6 > copy["detection_300"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--report"], "no such record"),
        (["--methods=gan"], "got 'gan'"),
    ],
)
def test_mistakes_end_in_one_line(flags, expected, tmp_path):
    done = run_here(SCRIPT, f"--run_dir={tmp_path}", *flags)
    assert done.returncode != 0 and expected in done.stderr and "Traceback" not in done.stderr


def test_one_machine_draws_and_another_scores(tmp_path, monkeypatch):
    absent = tmp_path / "absent"  # what only scores need, which a machine that draws may lack
    absent.mkdir()
    for name in ("faiss", "xgboost"):
        (absent / f"{name}.py").write_text("raise ImportError")
    paths = [str(absent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    flags = [f"--run_dir={tmp_path}", "--data=rand_hie", "--methods=real,shuffled", "--seeds=0"]
    done = run_apart(SCRIPT, *flags, "--draw_only", "--num_samples=1")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "shuffled" / "seed0"
    first = (folder / "table0.parquet").read_bytes()
    assert json.loads((folder / "origin.json").read_text())["device"].startswith("1 x cpu")
    assert run_here(SCRIPT, *flags, "--draw_only", "--num_samples=2").returncode == 0
    assert {path.name for path in folder.iterdir()} == {
        "drawn.json", "origin.json", "table0.parquet", "table1.parquet"
    }  # fmt: skip
    again, second = ((folder / f"table{i}.parquet").read_bytes() for i in (0, 1))
    assert again == first != second
    assert len(pd.read_parquet(folder / "table0.parquet")) > 10_000
    assert not (tmp_path / "record.json").exists()
