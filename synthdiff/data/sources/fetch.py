"""What the sources share: finding and checking files, and pairing a table with its schema."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Column, Schema

ENVIRONMENT = "SYNTHDIFF_DATA"
TIMEOUT_SECONDS = 60


def locate(
    dataset: str,
    filename: str,
    *,
    sha256: str,
    url: str,
    member: str | None = None,
    direct: bool = True,
    data_dir: str | Path | None = None,
) -> Path:
    """Finds one pinned file on disk, or downloads it from its public home.

    Looks in `data_dir` (else in $SYNTHDIFF_DATA) for `<dataset>/<filename>` or `<filename>`, with
    or without `.gz`, then in ~/.cache/synthdiff.

    Args:
      sha256: of the uncompressed file; checked on every call.
      url: where the public gets it.
      member: the file inside the archive, where `url` is a zip.
      direct: False where `url` is a page for people (a sign-in, another format); then the file
        must be on disk.

    Raises:
      InputError: the file is absent and cannot be fetched, or its content is not the pinned one.
    """
    cache = Path.home() / ".cache" / "synthdiff" / dataset
    path = find_file([*data_folders(dataset, data_dir=data_dir), cache], filename)
    if path is None:
        if not direct:
            problem = f"{filename} is not on disk and cannot be downloaded without you"
            raise input_error(dataset, problem, _layout_hint(dataset, filename, url))
        path = _download(dataset, filename, sha256, url, member, cache)
    verify(path, sha256)
    return path


def data_folders(*names: str, data_dir: str | Path | None = None) -> list[Path]:
    """Folders to search, in order: `<base>/<name>` for each name, then `<base>` itself.

    `<base>` is `data_dir`, or $SYNTHDIFF_DATA where that is None; no base gives no folders.
    """
    base = data_dir if data_dir is not None else os.environ.get(ENVIRONMENT)
    if not base:
        return []
    base = Path(base).expanduser()
    return [*(base / name for name in names), base]


def find_file(folders: Iterable[Path], *filenames: str) -> Path | None:
    """The first existing `<folder>/<filename>`, plain or with `.gz`; folders go first."""
    paths = (
        folder / (name + suffix)
        for folder in folders
        for name in filenames
        for suffix in ("", ".gz")
    )
    return next((path for path in paths if path.is_file()), None)


def verify(path: Path, sha256: str) -> None:
    """Raises InputError unless the uncompressed content of `path` has this SHA-256."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise input_error(str(path), f"cannot be read ({error})", "fetch the file again") from error
    _require_match(str(path), got, sha256)


def with_schema(
    df: pd.DataFrame,
    columns: Iterable[Column],
    target: str | None = None,
    sensitive: tuple[str, ...] = (),
) -> tuple[pd.DataFrame, Schema]:
    """Keeps the described columns, in that order, and fills in the dtypes they have in `df`.

    Discrete columns that hold whole, complete floats (1.0, 2.0) become int64.
    """
    columns = tuple(columns)
    df = df[[column.name for column in columns]].reset_index(drop=True)
    for column in columns:
        values = df[column.name]
        discrete = column.kind not in ("continuous", "datetime")
        if discrete and values.dtype == "float64" and (values % 1 == 0).all():
            df[column.name] = values.astype("int64")
    typed = tuple(replace(column, dtype=str(df[column.name].dtype)) for column in columns)
    return df, Schema(typed, target, sensitive)


def count_column(name: str) -> Column:
    """A count: whole numbers from 0; the upper bound is learned."""
    return Column(name, "integer", lower=0, step=1)


def public_column(name: str, kind: str, values: Iterable) -> Column:
    """A column whose values the codebook lists: (lower, upper) if integer, else categories."""
    values = tuple(values)
    if kind in ("integer", "continuous"):
        lower, upper = values
        step = 1 if kind == "integer" else None
        return Column(name, kind, lower=lower, upper=upper, step=step, public=True)
    return Column(name, kind, categories=values, public=True)


def _download(
    dataset: str, filename: str, sha256: str, url: str, member: str | None, cache: Path
) -> Path:
    """Stores the file in `cache` in one atomic step, if it is the pinned one; returns its path."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            content = response.read()
        if member is not None:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names = archive.namelist()
                content = archive.read(next(name for name in names if Path(name).name == member))
        _require_match(url, hashlib.sha256(content).hexdigest(), sha256)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
            file.write(content)
        os.replace(file.name, cache / filename)
    except (OSError, http.client.HTTPException, zipfile.BadZipFile, StopIteration) as error:
        problem = f"{filename} is not on disk and could not be downloaded ({error or member})"
        raise input_error(dataset, problem, _layout_hint(dataset, filename, url)) from error
    return cache / filename


def _require_match(where: str, got: str, expected: str) -> None:
    if got != expected:
        problem = f"sha256 of the uncompressed content is {got}, expected {expected}"
        raise input_error(where, problem, "put the published file in its place")


def _layout_hint(dataset: str, filename: str, url: str) -> str:
    return (
        f"get it from {url} and put it at <folder>/{dataset}/{filename} (or {filename}.gz), then "
        f"pass data_dir=<folder> or set {ENVIRONMENT}=<folder>"
    )
