"""What is built for others: the wheel and the sdist, their contents and their metadata."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import synthdiff

ROOT = Path(__file__).parents[1]
MADE = ("runs", "site", "build", "dist", ".*", "*.egg-info", "__pycache__")
BUILD = "from setuptools import build_meta as b; b.build_wheel('out'); b.build_sdist('out')"

needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="setuptools is older than 77"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds both in a copy of the checkout and unpacks the wheel; (unpacked, sdist names)."""
    source = tmp_path_factory.mktemp("build") / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*MADE))
    command = [sys.executable, "-c", BUILD]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    [wheel], [sdist] = source.glob("out/*.whl"), source.glob("out/*.tar.gz")
    site = source.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    return site, names


def read_metadata(site):
    [path] = site.glob("*.dist-info/METADATA")
    return email.message_from_string(path.read_text())


@needs_setuptools
def test_wheel_holds_the_package_and_the_scripts_and_nothing_else(built):
    site, _ = built
    names = {str(p.relative_to(site)) for p in site.rglob("*") if p.is_file()}
    code = {str(p.relative_to(ROOT)) for p in (ROOT / "synthdiff").rglob("*.py")}
    code |= {f"synthdiff/experiments/{p.name}" for p in (ROOT / "experiments").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == code | {"synthdiff/py.typed"}
    assert any(re.search(r"dist-info/.*LICENSE$", name) for name in names)


@needs_setuptools
def test_sdist_holds_what_a_build_needs_and_no_tests_or_results(built):
    _, names = built
    assert names >= {"setup.py", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff",
                     "ARCHITECTURE.md", "launch/slurm.sh", "experiments/train.py"}  # fmt: skip
    assert not [name for name in names if name.startswith(("tests", "experiments/results"))]


@needs_setuptools
def test_metadata_says_what_it_is(built):
    found = read_metadata(built[0])
    assert found["Name"] == "synthdiff" and found["Version"] == synthdiff.__version__
    assert found["License-Expression"] == "Apache-2.0" and found["Requires-Python"] == ">=3.11"
    assert {"benchmark", "cuda", "dev", "docs", "dp", "test", "tpu"} <= set(
        found.get_all("Provides-Extra")
    )


def is_bounded(requirement):
    signs = {clause.operator for clause in requirement.specifier}
    return signs == {"=="} or signs == {">=", "<"}


@needs_setuptools
def test_every_dependency_has_a_lower_and_an_upper_bound(built):
    found = [Requirement(text) for text in read_metadata(built[0]).get_all("Requires-Dist")]
    assert len(found) > 20
    assert [str(requirement) for requirement in found if not is_bounded(requirement)] == []


def test_missing_bounds_are_seen():
    assert is_bounded(Requirement("a>=1,<2")) and is_bounded(Requirement("a==1"))
    assert not any(is_bounded(Requirement(text)) for text in ("a", "a>=1", "a<2", "a!=1"))


@needs_setuptools
def test_wheel_works_elsewhere_by_its_console_command(built, tmp_path):
    site, _ = built
    [entry] = site.glob("*.dist-info/entry_points.txt")
    assert "synthdiff = synthdiff.__main__:main" in entry.read_text()
    call = "from synthdiff.__main__ import main; main()"  # what an installer's script does
    environment = os.environ | {"PYTHONPATH": str(site)}

    def run(*words):
        command = [sys.executable, "-c", call, *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    assert run("--version").stdout.strip() == synthdiff.__version__
    assert "  train  " in run("--help").stdout
    done = run("doctor", "--helpfull")
    assert f"{site}/synthdiff/experiments/doctor.py:" in done.stdout, done.stderr
    done = run("train", "--data=absent.csv", f"--run_dir={tmp_path / 'run'}")
    assert done.returncode == 1 and done.stderr.startswith("error: --data=absent.csv")


def test_citation_is_valid_and_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors"}  # of the format, version 1.2.0
    assert required <= set(cited) and cited["cff-version"] == "1.2.0"
    assert all("name" in author or "family-names" in author for author in cited["authors"])
    assert (cited["version"], cited["license"]) == (synthdiff.__version__, "Apache-2.0")
    assert cited["type"] == "software"
