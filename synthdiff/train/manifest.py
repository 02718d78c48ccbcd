"""Provenance of a run: everything needed to say how it was made, and to make it again."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
import pandas as pd

PACKAGES = ("synthdiff", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pandas",
            "scikit-learn", "faiss-cpu")  # fmt: skip


def hash_frame(df: pd.DataFrame) -> str:
    """sha256 over column names, dtypes and cells, in order."""
    digest = hashlib.sha256(repr([(c, str(t)) for c, t in df.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(df, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def read_git_revision(folder: Path | None = None) -> str | None:
    """Commit of the checkout that this code runs from, "-dirty" where files differ; else None.

    Where files were copied without their history, what the variable SYNTHDIFF_REVISION says.
    """
    folder = folder or Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = git("rev-parse", "HEAD")
    if not revision:
        return os.environ.get("SYNTHDIFF_REVISION")
    return revision + "-dirty" if git("status", "--porcelain", "--untracked-files=no") else revision


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_run(*, config: dict, data_hash: str | None, seeds: dict[str, int]) -> dict:
    """The manifest: config, versions, device, git revision, data hash, seeds, command, time."""
    devices = jax.devices()
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "config": config,
        "seeds": seeds,
        "data_sha256": data_hash,
        "git_revision": read_git_revision(),
        "versions": {"python": platform.python_version()} | {p: _version_of(p) for p in PACKAGES},
        "platform": platform.platform(),
        "device": {
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
            "cores": os.cpu_count(),
        },
        "differential_privacy": None,
    }
