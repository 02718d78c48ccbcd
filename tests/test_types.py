"""The package's type hints hold, as mypy sees them under the settings of pyproject.toml."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRONG = """
from synthdiff.data.schema import Column
from synthdiff.diffusion.schedules import Schedule

column = Column(3, "integer")
level: int = Schedule().name


def untyped(x):
    return x
"""

pytestmark = pytest.mark.skipif(
    find_spec("mypy") is None, reason="mypy is not installed: pip install 'synthdiff[test]'"
)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    cache = tmp_path_factory.mktemp("mypy")

    def run(*targets):
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), *map(str, targets)]
        environment = os.environ | {"MYPYPATH": str(ROOT)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


def test_package_has_no_type_error(check):
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr


def test_type_errors_are_seen(check, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    done = check(path)
    assert done.returncode == 1, done.stderr
    for code in ("[arg-type]", "[assignment]", "[no-untyped-def]"):
        assert done.stdout.count(code) == 1, done.stdout
