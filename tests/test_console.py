"""The console command runs the scripts as they are, and `doctor` examines a table."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import run_apart, run_here

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from _common import describe_field

from synthdiff.__main__ import STAGES, describe_commands, find_scripts, main
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.diffusion.schedules import Schedule
from synthdiff.models.config import ModelConfig
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

ROOT = Path(__file__).parents[1]


def run(*words, cwd=None):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.arange(300), "age": rng.integers(18, 90, 300)})
    df["sex"] = rng.choice(["F", "M"], 300)
    df.to_csv(tmp_path / "visits.csv", index=False)
    return tmp_path / "visits.csv"


def test_every_script_is_a_command_and_nothing_else():
    scripts = find_scripts()
    assert list(scripts)[: len(STAGES)] == list(STAGES)
    folder = ROOT / "experiments"
    assert set(scripts.values()) <= set(folder.glob("[!_]*.py"))
    assert "benchmark_quality" in scripts
    assert not {"_common", "whitebox", "repeat.py"} & set(scripts)


def test_help_has_one_line_for_each_command():
    lines = describe_commands(find_scripts()).splitlines()
    assert lines[0].startswith("Usage: synthdiff COMMAND")
    for name in find_scripts():
        [line] = [line for line in lines if line.split()[:1] == [name]]
        assert len(line) <= 120 and line[20:].strip()
    assert lines.index("Stages:") < lines.index("Experiments:")


def test_a_wrong_command_ends_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["synthdiff", "trian"])
    with pytest.raises(SystemExit, match="'trian' is not a command"):
        main()


def test_command_does_what_the_script_does(table):
    flags = [f"--data={table}", "--entity=id", "--sensitive=sex"]
    script = run(ROOT / "experiments" / "doctor.py", *flags)
    command = run("-m", "synthdiff", "doctor", *flags, cwd=table.parent)
    assert script.returncode == command.returncode == 0, command.stderr
    assert script.stdout == command.stdout and "sensitive" in command.stdout
    here = run_here("doctor.py", *flags)  # as other tests run scripts
    assert here.returncode == 0 and here.stdout == script.stdout
    shown = run("-m", "synthdiff", "doctor", "--help").stdout
    for flag in ("--schema_out: ", "--data: ", "--entity: "):
        assert f"\n  {flag}" in shown


def test_a_script_that_breaks_breaks_here_too(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("print(1)\n1 / 0")
    here, apart = run_here(path), run_apart(path)
    assert (here.returncode, here.stdout) == (apart.returncode, apart.stdout) == (1, "1\n")
    assert all("Traceback" in done.stderr and "ZeroDiv" in done.stderr for done in (here, apart))


@pytest.mark.parametrize("config", [ModelConfig, SamplerConfig, Schedule, TrainConfig, DpConfig])
def test_help_says_what_each_setting_is(config):
    about = {field.name: describe_field(config, field.name) for field in fields(config)}
    assert len(set(about.values())) == len(about)
    first = " ".join(config.__doc__.split()).split(". ")[0]
    assert not any(text.startswith(first) or len(text) > 300 for text in about.values())


def test_help_lists_the_flags_of_the_stage_and_of_no_library():
    shown = run(ROOT / "experiments" / "train.py", "--help").stdout
    for flag in ("run_dir", "data", "train.num_steps", "model.name", "dp.epsilon", "start"):
        assert f"\n  --{flag}: " in shown
    assert "orbax" not in shown


def test_doctor_prints_kinds_and_findings_and_writes_the_schema(table, tmp_path):
    out = tmp_path / "schema.json"
    done = run_here("doctor.py", f"--data={table}", f"--schema_out={out}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["300 rows", "  id   integer", "  age  integer", "  sex  categorical"]
    assert "WARNING column 'id': 300 distinct values" in lines[4]
    schema = json.loads(out.read_text())
    schema["columns"][2]["categories"] = ["F"]
    out.write_text(json.dumps(schema))
    done = run_here("doctor.py", f"--data={table}", f"--schema={out}")
    assert done.returncode == 1 and "ERROR column 'sex'" in done.stdout


def test_doctor_ends_in_one_line_where_no_schema_can_be_had(table):
    done = run_here("doctor.py", f"--data={table}", "--entity=patient")
    assert done.returncode == 1 and "no column named 'patient'" in done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
