"""Files of a run: written whole or not at all, known by their hashes, one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from synthdiff._validate import input_error

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]  # a module that is there or not

_FIXES: dict[type[OSError], str] = {
    IsADirectoryError: "name a file; this is a folder",
    FileExistsError: "name a folder; this is a file",
    NotADirectoryError: "name another folder; what stands before the last / is a file",
    PermissionError: "name a folder that you may write to",
}
SEAL, LOCK, NOTICE = "SHA256SUMS", ".lock", "PRIVATE.txt"


def write_atomically(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """Replaces a file so that a reader, or a later start, sees the old content or all of the new.

    private: only the owner may read it (mode 0600), from the first byte on. Several processes may
    write the same file, each a temporary one of its own that it holds a lock on until it has the
    name; whoever is done removes those of writers that were killed. Raises InputError where the
    file cannot be written; the old one then stays.
    """
    path = Path(path)
    with explain_writing(path):
        temporary, number = _open_temporary(path, 0o600 if private else 0o666)
        try:
            with open(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if fcntl is not None:  # elsewhere an open file keeps its name
                    os.replace(temporary, path)
            if fcntl is None:
                os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
    _remove_left(path)


def _open_temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside `path` that this process holds, and its descriptor."""
    while True:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        _lock(number, wait=True)
        if temporary.exists():
            return temporary, number
        os.close(number)  # before it was held, another took it for one that was left


def _lock(file: IO | int, *, wait: bool = False) -> bool:
    """Whether nobody else holds the file; then this process does, until it is closed."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held, or no locks here
        return False
    return True


def _remove_left(path: Path) -> None:
    """Removes temporary files of writers of this file that were killed."""
    name = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.tmp")
    for left in path.parent.iterdir():
        if name.fullmatch(left.name):
            with suppress(OSError), open(left, "rb") as file:
                if _lock(file):
                    left.unlink()


@contextmanager
def explain_writing(path: str | Path) -> Iterator[None]:
    """Turns a full disk, a forbidden folder and the like into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        fix = "free disk space, or name a folder that you may write to; the same command goes on"
        fix = next((words for kind, words in _FIXES.items() if isinstance(error, kind)), fix)
        reason = error.strerror or error
        raise input_error(str(path), f"cannot be written ({reason})", fix) from error


def make_folder(folder: str | Path, *, private: bool = False) -> Path:
    """Makes the folder where there is none; private: for its owner only, also where there is."""
    folder = Path(folder)
    with explain_writing(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        if private:
            folder.chmod(0o700)
    return folder


def mark_private(folder: Path, *names: str, more: str = "") -> None:
    """Says in PRIVATE.txt that these files of the folder are for their owner alone.

    Files that it names already stay named.
    """
    path, start, end = folder / NOTICE, "some of them away: ", ". They are"
    text = " ".join(path.read_text().split()) if path.exists() else ""
    known = text.partition(start)[2].partition(end)[0].split(", ") if start in text else []
    more = more or text.partition("(mode 0600).")[2].strip()
    text = (
        "These files hold values of real patients, or were learnt from them and can give "
        f"{start}{', '.join(dict.fromkeys([*known, *names]))}{end} for their owner alone (mode "
        f"0600). {more}"
    )
    write_atomically(path, (textwrap.fill(text, 100) + "\n").encode())


def parse_json(path: str | Path, content: bytes, fix: str) -> dict:
    """The JSON object in a file's content; raises InputError that names the file and the fix."""
    try:
        found = json.loads(content)
    except ValueError as error:  # no JSON, or no UTF-8
        raise input_error(str(path), f"is damaged, not JSON ({error})", fix) from error
    if not isinstance(found, dict):
        raise input_error(str(path), "is damaged, not a JSON object", fix)
    return found


def read_json(path: str | Path, fix: str) -> dict:
    """The JSON object in a file; raises InputError where it cannot be read or is damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise input_error(str(path), f"cannot be read ({error.strerror})", fix) from error
    return parse_json(path, content, fix)


def write_json(path: str | Path, content: object, *, private: bool = False) -> None:
    """Writes JSON so that a reader sees the old file or the whole new one.

    private: only the owner may read it (mode 0600), from the first byte on.
    """
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode(), private=private)


def leave_private(folder: Path, name: str, content: object) -> None:
    """Writes JSON of the folder for its owner alone, says so in PRIVATE.txt and seals it."""
    mark_private(folder, name, SEAL)
    write_json(folder / name, content, private=True)
    seal(folder, name)


def seal(folder: Path, *names: str) -> None:
    """Notes the sha256 of files of the folder in SHA256SUMS, which `sha256sum -c` checks too.

    What is said there of files that are gone is left out. It is private, since the checksum of a
    private file confirms a guess at what is in it.
    """
    kept = {name: d for name, d in _read_sums(folder).items() if (folder / name).exists()}
    sums = kept | {name: hash_file(folder / name) for name in names}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    write_atomically(folder / SEAL, lines.encode(), private=True)


def read_sealed(path: Path, fix: str) -> bytes:
    """A file's content, if it is what `seal` saw.

    Raises InputError where the file is damaged, edited or another run's, or where the writer was
    stopped before it sealed it. This finds accidents; whoever can write the file can seal it too.
    """
    sums = _read_sums(path.parent)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise input_error(str(path.parent), f"no {path.name}", fix) from error
    if path.name not in sums:
        raise input_error(str(path), f"is not in {SEAL}: its writer did not end", fix)
    if hashlib.sha256(content).hexdigest() != sums[path.name]:
        problem = f"is not what {SEAL} says: damaged, edited, or of another run"
        raise input_error(str(path), problem, fix)
    return content


def is_sealed(path: Path) -> bool:
    """Whether SHA256SUMS of its folder names the file, which may be gone."""
    return path.name in _read_sums(path.parent)


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / SEAL
    text = path.read_text(errors="replace") if path.exists() else ""
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.M)}


def hash_file(*paths: Path) -> str:
    """sha256 of a file, or of several one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@contextmanager
def hold_file(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether this process holds the lock file, and keeps others off it until the block ends.

    wait: until whoever holds it lets go. The kernel lets go of it after a kill. Where the file
    system has no locks everybody holds it.
    """
    if fcntl is None:
        yield True
        return
    with explain_writing(path):
        file = open(path, "a+")  # noqa: SIM115  (a "w" would empty the holder's name)
    with file:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError:  # no locks here
            pass
        else:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield held


@contextmanager
def hold_folder(folder: str | Path) -> Iterator[Path]:
    """Keeps other processes out of a folder that exists, as `hold_file` does.

    Raises InputError that names the process which holds it.
    """
    folder = Path(folder)
    with hold_file(folder / LOCK) as held:
        if not held:
            holder = (folder / LOCK).read_text().strip() or "another process"
            fix = "wait for it, or name another folder"
            raise input_error(str(folder), f"is in use by {holder}", fix)
        yield folder
