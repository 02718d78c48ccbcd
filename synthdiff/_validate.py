"""Argument checks whose messages name the argument, the value and the fix."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in what the user gave us; the message names where, what and how to mend it."""


def input_error(where: str, problem: str, fix: str) -> InputError:
    """Builds the one error shape users see: where it is, what is wrong, what to do."""
    return InputError(f"{where}: {problem}. Fix: {fix}.")


def require_version(where: str, found: object, version: int) -> None:
    """Raises InputError where a file is of another version than the one that this code reads."""
    if found != version:
        fix = f"use the synthdiff that wrote it, or make it anew: this one reads version {version}"
        raise input_error(where, f"is of another version ({found!r})", fix)


def positive(**values: float) -> None:
    """Raises InputError unless every value is > 0.

    >>> positive(num_rows=0)
    Traceback (most recent call last):
    synthdiff._validate.InputError: Expected num_rows > 0, got 0.
    """
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"Expected {name} > 0, got {value!r}.")


def in_range(low: float, high: float, **values: float) -> None:
    """Raises InputError unless low <= value <= high for every value."""
    for name, value in values.items():
        if not low <= value <= high:
            raise InputError(f"Expected {low} <= {name} <= {high}, got {value!r}.")


def one_of(allowed: Iterable[str], **values: str) -> None:
    """Raises InputError unless every value is one of the allowed names."""
    allowed = tuple(allowed)
    for name, value in values.items():
        if value not in allowed:
            raise InputError(f"Expected {name} to be one of {', '.join(allowed)}; got {value!r}.")
