from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from synthdiff._validate import InputError
from synthdiff.data.balance import match_levels, parse_balance, plan_independent, plan_levels
from synthdiff.data.schema import Column


def _rng(seed=0):
    return np.random.default_rng(seed)


def test_shares_are_exact_to_within_one_row():
    shares = {"a": 0.5, "b": 0.3, "c": 0.2, "d": 0.0}
    assert Counter(plan_levels(shares, 10, _rng())) == {"a": 5, "b": 3, "c": 2}
    for rows in (1, 2, 7, 1001):
        counts = Counter(plan_levels(shares, rows, _rng()))
        assert sum(counts.values()) == rows and counts["d"] == 0
        assert all(abs(counts[level] - rows * share) < 1 for level, share in shares.items())


def test_remainders_go_to_the_largest_and_then_to_the_first():
    third = dict.fromkeys("abc", 1 / 3)
    assert Counter(plan_levels(third, 100, _rng())) == {"a": 34, "b": 33, "c": 33}
    assert Counter(plan_levels({"a": 0.34, "b": 0.66}, 10, _rng())) == {"a": 3, "b": 7}


def test_order_is_random_and_fixed_by_the_generator():
    shares = {"a": 0.5, "b": 0.5}
    plan = plan_levels(shares, 200, _rng())
    assert plan == plan_levels(shares, 200, _rng())
    assert plan != plan_levels(shares, 200, _rng(1))
    changes = sum(left != right for left, right in pairwise(plan))
    assert 70 < changes < 130  # sorted levels would change once


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"a": 0.5}, "sum to 0.5"), ({"a": -0.5, "b": 1.5}, "negative"), ({}, "sum to 0")],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(InputError, match=message):
        plan_levels(shares, 10, _rng())


def test_the_flag_names_a_column_and_maybe_shares():
    assert parse_balance("sex") == ("sex", None, None)
    assert parse_balance("sex:F=0.7,M=0.3") == ("sex", None, {"F": 0.7, "M": 0.3})
    assert parse_balance("grade:a=b=0.5,c=0.5") == ("grade", None, {"a=b": 0.5, "c": 0.5})
    assert parse_balance("sex*died:F=1") == ("sex", "died", {"F": 1.0})
    for text in ("sex*", "sex*sex"):
        with pytest.raises(InputError, match="no second column"):
            parse_balance(text)
    for text in ("sex:", "sex:F", "sex:F=x", "sex:F=0.5,F=0.5"):
        with pytest.raises(InputError, match="level=share"):
            parse_balance(text)


def test_a_second_column_has_its_shares_within_each_level_of_the_first():
    groups = plan_levels({"a": 0.75, "b": 0.25}, 400, _rng())
    outcomes = plan_independent(groups, {0: 0.8, 1: 0.2}, _rng(1))
    pairs = Counter(zip(groups, outcomes, strict=True))
    assert pairs == {("a", 0): 240, ("a", 1): 60, ("b", 0): 80, ("b", 1): 20}


def test_levels_take_the_type_of_the_column():
    yes_no = Column("died", "boolean", dtype="bool", categories=(False, True))
    assert match_levels({"yes": 0.4, "0": 0.6}, yes_no, (False, True)) == {True: 0.4, False: 0.6}
    site = Column("site", "categorical", dtype="int64", categories=(1, 2))
    assert match_levels({"2": 1.0}, site, (1, 2)) == {2: 1.0}
    with pytest.raises(InputError, match=r"no level '3'.*use one of \[1, 2\]"):
        match_levels({"3": 1.0}, site, (1, 2))
