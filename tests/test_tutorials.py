"""Every tutorial runs as it stands, and ends in a synthetic table of the kind that it promises."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from synthdiff.data.table import read_table

TUTORIALS = sorted((Path(__file__).parents[1] / "experiments" / "tutorials").glob("*.py"))


EXPECTED = {  # rows and a column of the table, and what is said on the way
    "own_csv": (420, "dose", ["fidelity"]),
    "another_domain": (1050, "affairs", ["'rate_marriage': 'ordinal'", "fidelity"]),
    "rand_hie": (1267, "mdvis", ["fidelity", "audit: INCONCLUSIVE"]),
    "mimic": (420, "diagnoses", ["'diagnoses': 'code_set'", "fidelity"]),
    "private": (1000, "mdvis", ["refused: ", "- tree: tables", "delta 1e-05", "dp_secret"]),
}


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path):
    if path.stem == "private" and not find_spec("jax_privacy"):
        pytest.skip("the extra `dp` is not installed")
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, column, said = EXPECTED[path.stem]
    assert [words for words in said if words not in done.stdout] == []
    line = done.stdout.splitlines()[-1]
    assert line.startswith("written: ")
    table = read_table(line.removeprefix("written: "))
    assert column in table.columns and len(table) == rows


def test_tutorials_are_short():
    assert {path.stem for path in TUTORIALS} == set(EXPECTED)
    assert max(len(path.read_text().splitlines()) for path in TUTORIALS) < 100
