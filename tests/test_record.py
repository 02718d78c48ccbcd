"""Sweeps that several processes share: every job is done once, and that of a dead one again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from _record import format_sweep, run_sweep

SCRIPT = f"""
import sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {sys.path[0]!r})
from _record import run_sweep

folder, stuck = Path(sys.argv[1]), sys.argv[2:]

def score(name, seed):
    with open(folder / "done", "a") as file:
        file.write(f"{{name}}{{seed}}\\n")
    time.sleep(60 if stuck else 0.05)
    return {{"loss": ord(name) + int(seed)}}

jobs = [(name, seed, partial(score, name, seed)) for seed in "01" for name in "abcd"]
run_sweep(folder, folder / "record.json", {{"runs": {{}}}}, jobs, lambda record: None)
"""


def start(folder, *arguments):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), *arguments])


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, "did not start"
        time.sleep(0.02)


def test_processes_share_the_jobs_and_take_over_from_a_dead_one(tmp_path):
    dead = start(tmp_path, "stuck")
    wait_for(tmp_path / "done")
    others = [start(tmp_path) for _ in range(2)]
    time.sleep(0.5)
    os.kill(dead.pid, signal.SIGKILL)
    assert dead.wait() < 0 and all(other.wait(60) == 0 for other in others)
    started = (tmp_path / "done").read_text().split()
    every = [f"{name}{seed}" for seed in "01" for name in "abcd"]
    assert start(tmp_path).wait(60) == 0  # whatever the dead one held when the others passed by
    done = (tmp_path / "done").read_text().split()
    assert sorted(done) == sorted([*every, started[0]])  # the dead one's job twice, all else once
    runs = json.loads((tmp_path / "record.json").read_text())["runs"]
    assert list(runs) == list("abcd")  # in the order of the jobs, whoever was first
    assert all(list(found) == ["0", "1"] for found in runs.values())
    assert runs["b"]["1"] == {"loss": ord("b") + 1}


def test_the_table_is_written_once_every_name_has_a_score(tmp_path):
    path, record, shown = tmp_path / "record.json", {"runs": {}}, []
    jobs = [(name, seed, lambda: {"loss": 1.0}) for seed in "01" for name in "ab"]
    run_sweep(
        tmp_path, path, record, jobs, lambda r: shown.append([len(s) for s in r["runs"].values()])
    )
    assert shown == [[1, 1], [2, 1], [2, 2]]
    run_sweep(tmp_path, path, record, jobs, lambda record: shown.append("again"))
    assert shown[3:] == ["again"]


def test_a_table_has_a_row_per_score_and_says_what_a_name_lacks():
    runs = {"a": {"0": {"loss": 1.0}, "1": {"loss": 2.0}}, "b": {"0": {"loss": 3.0, "auc": 0.5}}}
    about = {"dataset": "x", "command": "c", "commit": "0", "device": "d", "runs": runs}
    text = format_sweep("Arms", about)
    assert "| loss | 1.5 ± 0.71 | 3 |" in text and "| auc | – | 0.5 |" in text
    assert "over 1 to 2 seeds" in text


def test_arms_of_another_process_stay_in_the_record(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"runs": {"b": {"0": {"loss": 2.0}}}, "arms": {"b": "--x=1"}}))
    ours = {"runs": {}, "arms": {"a": ""}}
    run_sweep(tmp_path, path, ours, [("a", "0", lambda: {"loss": 1.0})], lambda record: None)
    found = json.loads(path.read_text())
    assert found["arms"] == {"b": "--x=1", "a": ""} and list(found["runs"]) == ["a", "b"]


def test_a_sweep_of_nothing_is_an_input_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to do"):
        run_sweep(tmp_path, tmp_path / "record.json", {"runs": {}}, [], print)


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(ValueError, match=r"record.json.*damaged.*remove it"):
        run_sweep(tmp_path, tmp_path / "record.json", {"runs": {}}, [("a", "0", dict)], print)
