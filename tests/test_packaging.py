"""What is built for others: the wheel and the sdist, their contents, and that both work."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import synthdiff

ROOT = Path(__file__).parents[1]
MADE = ("runs", "site", "build", "dist", ".git", ".venv*", ".*_cache", ".hypothesis", "*.egg-info",
        "__pycache__")  # fmt: skip
BUILD = "from setuptools import build_meta as b; b.build_{}('out')"  # without any download

needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="setuptools is older than 77"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist of a copy of the checkout, unpacked, and the wheel built of that, unpacked."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*MADE))

    def build(what, source):
        command = [sys.executable, "-c", BUILD.format(what)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        [found] = source.glob("out/*")
        return found

    with tarfile.open(build("sdist", folder / "source")) as archive:
        archive.extractall(folder, filter="data")
    [sdist] = folder.glob("synthdiff-*")
    with zipfile.ZipFile(build("wheel", sdist)) as archive:
        archive.extractall(folder / "site")
    return folder / "site", sdist


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
def test_sdist_holds_the_whole_checkout(built):
    """Tests, tutorials and records too: what launch/ starts works from it."""

    def list_files(root):
        found = {p.relative_to(root) for p in root.rglob("*") if p.is_file()}
        return {p for p in found if not any(fnmatch(part, m) for part in p.parts for m in MADE)}

    _, sdist = built
    lost = list_files(ROOT) - list_files(sdist)
    assert lost == set() and len(list_files(sdist)) > 400


@needs_setuptools
def test_scripts_of_launch_work_from_the_sdist(built, tmp_path):
    _, sdist = built
    root = tmp_path / "sdist"
    shutil.copytree(sdist, root)
    (root / ".venv/bin").mkdir(parents=True)
    for name in ("pip", "python"):  # no download and no training: only what would be run
        stub = root / ".venv/bin" / name
        stub.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        stub.chmod(0o755)

    def run(script, *words):
        command = ["bash", str(root / "launch" / script), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    script, frontier = run("quickstart.sh").splitlines()[-1].split()[1:]
    assert (root / script).is_file() and (root / frontier.partition("=")[2]).is_file()
    assert "tutorials" in run("docs.sh", "--dry_run")
    (root / ".venv/bin/ruff").write_text("#!/bin/sh\n")
    (root / ".venv/bin/ruff").chmod(0o755)
    assert "python -m pytest" in run("test.sh") and len(list(root.glob("tests/test_*.py"))) > 50
    done = subprocess.run([sys.executable, str(root / "experiments/reproduce.py"), "--check"],
                          cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.count("as the records give them") == 2, done.stderr


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
    lines = ["age,sex", *(f"{20 + i % 50},{'FM'[i % 2]}" for i in range(300))]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    done = run("split", f"--data={tmp_path / 'own.csv'}", f"--run_dir={tmp_path / 'parts'}")
    assert done.returncode == 0 and (tmp_path / "parts/train.csv").is_file(), done.stderr
    done = run("train", "--data=absent.csv", f"--run_dir={tmp_path / 'run'}")
    assert done.returncode == 1 and done.stderr.startswith("error: --data=absent.csv")


def test_citation_is_valid_and_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors"}  # of the format, version 1.2.0
    assert required <= set(cited) and cited["cff-version"] == "1.2.0"
    assert all("name" in author or "family-names" in author for author in cited["authors"])
    assert (cited["version"], cited["license"]) == (synthdiff.__version__, "Apache-2.0")
    assert cited["type"] == "software"
