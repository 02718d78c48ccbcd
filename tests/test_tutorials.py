"""Every tutorial runs as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthdiff.data.table import read_table

TUTORIALS = sorted((Path(__file__).parents[1] / "experiments" / "tutorials").glob("*.py"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    line = done.stdout.splitlines()[-1]
    assert line.startswith("written: ")
    table = read_table(line.removeprefix("written: "))
    assert list(table.columns) == ["patient", "age", "died", "dose"] and len(table) == 420
