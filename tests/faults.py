"""What the fault tests break: every write of a stage, one after the other.

An audit hook of the interpreter is told of each file that is about to be opened for writing,
renamed or removed, before that happens. No product code knows of it.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link"}


class Killed(BaseException):
    """The process is dead: nothing catches this, and no write comes after it."""


def disk_full(path: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class Faults:
    """Fails write number `at` below a folder and all later ones, as `failure(path)` says.

    torn: the file that was opened last then holds half of what was written to it since.
    """

    def __init__(self) -> None:
        self.root, self.points = None, []
        sys.addaudithook(self._watch)  # for good: a hook cannot be removed

    @contextmanager
    def inject(
        self, root: Path, at: int = 0, failure: Callable = Killed, torn: bool = False
    ) -> Iterator[list]:
        """The list of write points met, which grows; at=0 only lists them."""
        self.points, self.at, self.failure, self.torn = [], at, failure, torn
        self.opened = None
        self.root = os.fspath(root)
        try:
            yield self.points
        finally:
            self.root = None

    def _watch(self, event: str, args: tuple) -> None:
        if self.root is None or (event != "open" and event not in CHANGES):
            return
        paths = [os.fsdecode(a) for a in args[:2] if isinstance(a, (str, bytes, os.PathLike))]
        if event == "open" and not (isinstance(args[2], int) and args[2] & WRITES):
            return
        if not any(path.startswith(self.root) for path in paths):
            return
        self.points.append(f"{event} {paths[0].removeprefix(self.root)}")
        if self.at and len(self.points) >= self.at:
            if len(self.points) == self.at and self.torn:
                self._tear()
            raise self.failure(paths[0])
        if event == "open":
            size = 0 if args[2] & os.O_TRUNC or not os.path.exists(paths[0]) else -1
            self.opened = (paths[0], size if size == 0 else os.path.getsize(paths[0]))

    def _tear(self) -> None:
        root, self.root = self.root, None
        path, before = self.opened or ("", 0)
        if os.path.exists(path):
            os.truncate(path, (before + os.path.getsize(path)) // 2)
        self.root = root


FAULTS = Faults()
