import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.fidelity import evaluate_fidelity
from synthdiff.eval.pairs import rank_pairs, summarise_pairs

SCHEMA = Schema(
    (
        Column("patient", "entity"),
        Column("x", "continuous"),
        Column("y", "continuous"),
        Column("level", "categorical"),
        Column("codes", "code_set"),
    )
)


def _table(seed, related=True, rows=2000):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    other = x if related else rng.normal(size=rows)
    return pd.DataFrame(
        {
            "patient": np.arange(rows) + seed * rows,
            "x": x,
            "y": other + 0.3 * rng.normal(size=rows),
            "level": rng.choice(["a", "b"], rows),
            "codes": rng.choice(["", "I10", "E11;I10"], rows),
        }
    )


def _summary(synthetic, train=None):
    train = _table(0) if train is None else train
    pairs = evaluate_fidelity(train, _table(1), synthetic, SCHEMA)["pairs"]
    return summarise_pairs(train, _table(1), synthetic, SCHEMA, pairs)


def test_the_pair_whose_relation_is_lost_comes_first():
    found = _summary(_table(2, related=False))
    first = found[0]
    assert (first["first"]["name"], first["second"]["name"]) == ("x", "y") and first["gap"] < -10
    on_diagonal = {
        part: np.trace(first[part]) / np.sum(first[part]) for part in ("train", "synthetic", "test")
    }
    assert on_diagonal["synthetic"] < 0.5 * on_diagonal["test"]
    assert on_diagonal["train"] == pytest.approx(on_diagonal["test"], rel=0.3)
    good = _summary(_table(2))  # power: with the relation kept nothing stands out
    assert "skipped" in good or good[0]["gap"] > -5
    same = _summary(_table(0))
    assert same == {"skipped": "no pair falls below the floor"}


def test_shares_are_those_of_the_rows_rounded_to_ten():
    train = _table(0)
    found = _summary(_table(2, related=False), train)
    pair = next(p for p in found if "labels" in p["first"] or "labels" in p["second"])
    for cell in np.ravel(pair["train"]):
        assert (cell * len(train) / 10) == pytest.approx(round(cell * len(train) / 10))
    assert np.sum(pair["train"]) == pytest.approx(1, abs=0.05)
    labels = pair["first"].get("labels", pair["second"].get("labels"))
    assert sorted(labels) == ["(other)", "a", "b"] and labels[-1] == "(other)"


def test_no_cell_of_few_patients_is_given():
    """One patient with 50 rows far from all others; the same rows of 50 patients are shown."""
    extra = pd.DataFrame({"patient": -1, "x": 2.0, "y": -2.0, "level": "a", "codes": "",
                          "n": range(50)}).drop(columns="n")  # fmt: skip
    hidden = pd.concat([_table(0), extra], ignore_index=True)
    shown = pd.concat([_table(0), extra.assign(patient=-1 - np.arange(50))], ignore_index=True)
    totals = []
    for train in (hidden, shown):
        pair = _summary(_table(2, related=False), train)[0]
        edges = [np.array(pair[axis]["edges"]) for axis in ("first", "second")]
        row, column = (
            np.searchsorted(e, v, "right") - 1 for e, v in zip(edges, (2, -2), strict=True)
        )
        totals.append(pair["train"][row][column] * len(train))
    assert totals[0] == 0 and totals[1] == pytest.approx(50)


def test_rank_leaves_out_pairs_without_a_number():
    score = [[1, np.nan, 0.5], [np.nan, 1, 0.9], [0.5, 0.9, 1]]
    ranked = rank_pairs({"columns": ["a", "b", "c"], "score": score, "floor": np.ones((3, 3))})
    assert [pair[:2] for pair in ranked] == [("a", "c"), ("b", "c")]
    assert ranked[0][2] == pytest.approx(-50)


def test_one_column_has_no_pair():
    schema = Schema((Column("x", "continuous"),))
    tables = [_table(seed)[["x"]] for seed in range(3)]
    pairs = evaluate_fidelity(*tables, schema)["pairs"]
    assert "no pair" in summarise_pairs(*tables, schema, pairs)["skipped"]
