"""Provenance: every field, a data hash that misses nothing, the git revision."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest

from synthdiff.train.manifest import PACKAGES, describe_run, hash_frame, read_git_revision

FRAME = pd.DataFrame({"age": [30, 41], "sex": ["F", "M"], "dose": [0.5, np.nan]})
CHANGES = {
    "cell": FRAME.assign(age=[30, 42]),
    "text": FRAME.assign(sex=["F", "F"]),
    "missing": FRAME.assign(dose=[0.5, 0.0]),
    "dtype": FRAME.astype({"age": "int32"}),
    "name": FRAME.rename(columns={"age": "years"}),
    "column order": FRAME[["sex", "age", "dose"]],
    "row order": FRAME.iloc[::-1],
    "fewer rows": FRAME.iloc[:1],
}


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_hash_is_of_the_content():
    assert hash_frame(FRAME) == hash_frame(FRAME.copy())
    assert hash_frame(FRAME) == hash_frame(FRAME.set_axis([7, 8]))  # row labels are no data


@pytest.mark.parametrize("change", CHANGES)
def test_hash_sees_every_change(change):
    assert hash_frame(CHANGES[change]) != hash_frame(FRAME)


def test_revision_of_a_repository(tmp_path):
    git(tmp_path, "init")
    assert read_git_revision(tmp_path) is None  # no commit yet
    (tmp_path / "a.txt").write_text("1")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-m", "a", "--no-gpg-sign")
    revision = git(tmp_path, "rev-parse", "HEAD")
    assert read_git_revision(tmp_path) == revision
    (tmp_path / "new.txt").write_text("untracked files are not code that ran")
    assert read_git_revision(tmp_path) == revision
    (tmp_path / "a.txt").write_text("2")
    assert read_git_revision(tmp_path) == revision + "-dirty"


def test_no_revision_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_git_revision(tmp_path) is None
    assert read_git_revision(tmp_path / "absent") is None
    monkeypatch.setenv("SYNTHDIFF_REVISION", "abc")  # the files alone were copied
    assert read_git_revision(tmp_path) == "abc"


def test_manifest_has_every_field():
    seeds = {"train": 3, "split": 0}
    manifest = describe_run(config={"model": {"width": 8}}, data_hash="ab", seeds=seeds)
    assert json.loads(json.dumps(manifest)) == manifest
    assert set(manifest) == {
        "created", "command", "config", "seeds", "data_sha256", "git_revision", "versions",
        "platform", "device", "differential_privacy",
    }  # fmt: skip
    assert set(manifest["versions"]) == {"python", *PACKAGES}
    assert manifest["versions"]["jax"] and manifest["versions"]["numpy"] == np.__version__
    assert (manifest["seeds"], manifest["data_sha256"]) == (seeds, "ab")
    assert manifest["config"] == {"model": {"width": 8}}
    assert manifest["device"]["count"] >= 1
    assert manifest["differential_privacy"] is None  # no claim is made
