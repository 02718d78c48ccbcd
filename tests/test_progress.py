"""Progress: a bar for what takes long, lines where nobody sees a bar, and no other change."""

import ast
import io
import sys
from pathlib import Path

import pytest

from synthdiff._progress import track

ROOT = Path(__file__).parents[1]
LONG = ("synthdiff/eval/singling_out.py", "synthdiff/eval/linkability.py",
        "synthdiff/eval/protocol/mle.py", "experiments/repeat.py")  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def watch(monkeypatch):
    """What is shown of three items that take `seconds` each."""

    def run(seconds, stream, items=None):
        now = [0.0]
        monkeypatch.setattr(sys, "stderr", stream)
        for clock in ("tqdm.std.time", "synthdiff._progress.monotonic"):
            monkeypatch.setattr(clock, lambda: now[0])
        seen = []
        for item in track(items or iter("abc"), "letters", "letter", None if items else 3):
            now[0] += seconds
            seen.append(item)
        assert seen == ["a", "b", "c"]
        return stream.getvalue()

    return run


def test_what_takes_long_is_shown_on_a_terminal(watch):
    shown = watch(10.0, Terminal())
    assert "letters" in shown and "3/3" in shown
    assert watch(1.0, Terminal()).strip() == ""


def test_a_line_is_written_now_and_then_where_there_is_no_terminal(watch):
    lines = "letters: 1 of 3 letters, 01:00 left\nletters: 2 of 3 letters, 00:30 left\n"
    assert watch(30.0, io.StringIO()) == lines == watch(30.0, io.StringIO(), ["a", "b", "c"])
    assert watch(10.0, io.StringIO()) == "letters: 2 of 3 letters, 00:10 left\n"
    assert watch(5.0, io.StringIO()) == ""


def test_what_has_no_length_is_counted(watch):
    items = (letter for letter in "abc")
    assert watch(30.0, io.StringIO(), items) == "letters: 1 letters\nletters: 2 letters\n"


@pytest.mark.parametrize("path", LONG)
def test_long_loops_are_tracked(path):
    loops = [
        n.iter for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.For)
    ]
    assert any(isinstance(c, ast.Call) and getattr(c.func, "id", "") == "track" for c in loops)
