"""Bars: of what takes over 5 seconds, where somebody sees them, and nothing else changes."""

import io
import sys

import pytest

from synthdiff._progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def watch(monkeypatch):
    """What is shown of three items that take `seconds` each."""

    def run(seconds, stream):
        now = [0.0]
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr("tqdm.std.time", lambda: now[0])
        seen = []
        for item in track(iter("abc"), "letters", "letter", total=3):
            now[0] += seconds
            seen.append(item)
        assert seen == ["a", "b", "c"]
        return stream.getvalue()

    return run


def test_what_takes_long_is_shown_on_a_terminal(watch):
    shown = watch(10.0, Terminal())
    assert "letters" in shown and "3/3" in shown
    assert watch(1.0, Terminal()).strip() == ""
    assert watch(10.0, io.StringIO()) == ""


def test_a_length_is_found_without_being_told():
    assert len(track([1, 2, 3], "numbers", "number")) == 3
