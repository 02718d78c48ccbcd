"""Rows of one patient alone: by hand, seldom found among fresh rows, and found one by one."""

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.lone_rows import find_lone_rows

LEVELS = [f"c{i}" for i in range(10)]
CODED = Schema((Column("id", "entity"), *(Column(name, "categorical") for name in LEVELS)))
NUMBERS = ["a", "b", "c"]
MEASURED = Schema((Column("id", "entity"), *(Column(name, "continuous") for name in NUMBERS)))


def draw_coded(rng, start, patients=1000, columns=10, levels=3):
    """Columns that share a cause: of rows of one patient alone, fresh rows meet some by chance."""
    cause = rng.normal(size=(patients, 1))
    score = 0.8 * cause + 0.6 * rng.normal(size=(patients, columns))
    cells = np.clip(np.floor(score + levels / 2), 0, levels - 1).astype(int).astype(str)
    return pd.DataFrame(cells, columns=LEVELS[:columns]).assign(id=np.arange(patients) + start)


def draw_measured(rng, start, patients=1000):
    values = rng.normal(size=(patients, 3)).round(4)
    return pd.DataFrame(values, columns=NUMBERS).assign(id=np.arange(patients) + start)


def draw_parts(draw, seed):
    """Train, held-out rows and a table of fresh rows."""
    rng = np.random.default_rng(seed)
    return {"train": draw(rng, 0), "test": draw(rng, 10_000)}, draw(rng, 20_000)


def copy_rows(table, real, count, first=0):
    made = table.copy()
    cells = [name for name in made if name != "id"]
    made.loc[: count - 1, cells] = real.loc[first : first + count - 1, cells].to_numpy()
    return made


def test_rows_by_hand():
    """x is common, y of one patient (twice) but much alike, z alone and like nothing."""
    schema = Schema((Column("id", "entity"), *(Column(n, "categorical") for n in "pqr")))
    rows = {"x": "aaa", "y": "aab", "w": "bbb", "z": "zyx"}

    def table(names, ids):
        return pd.DataFrame([[*rows[n]] for n in names], columns=list("pqr")).assign(id=ids)

    real = {
        "train": table("xxxyyw" + "w" * 9, [1, 2, 3, 4, 4, *range(5, 15)]),
        "test": table("xz", [21, 22]),
    }
    found = find_lone_rows(table("xxyzx", range(5)), real, schema)
    np.testing.assert_array_equal(found.rows, [2, 3])
    np.testing.assert_array_equal(found.rare, [False, True])
    assert found.expected == 0 and found.copied
    assert not find_lone_rows(table("xxyyx", range(5)), real, schema).copied
    none = find_lone_rows(table("xxw", range(3)), real, schema)
    assert none.to_json() == {"rows": 0, "rare": 0, "rare_expected": 0.0, "p_value": 1.0,
                              "copied": False}  # fmt: skip


@pytest.mark.parametrize("columns", [3, 10])
def test_fresh_rows_of_few_levels_are_no_copies(columns):
    """Where chance meets rows of one patient, and where there are hardly any of those."""
    met, copied, runs = [], 0, 40
    for seed in range(runs):
        real, fresh = draw_parts(lambda *given: draw_coded(*given, columns=columns), seed)
        schema = Schema(CODED.columns[: columns + 1])
        found = find_lone_rows(fresh, real, schema)
        met.append((len(found.rows), found.rare.sum(), found.expected))
        copied += found.copied
    rows, rare, expected = np.mean(met, axis=0)
    assert copied <= 2  # of 40, at a level of 1 %
    if columns == 10:
        assert rows > 20 and 0.7 < rare / expected < 1.4  # power: there was something to meet


def test_copies_beyond_chance_are_found_where_chance_meets_some_too():
    real, fresh = draw_parts(draw_coded, 0)
    for part in real:
        assert find_lone_rows(copy_rows(fresh, real[part], 300), real, CODED).copied


def test_one_chance_duplicate_excuses_no_other_row():
    """Two real patients agree on a row: whatever else comes back is counted all the same."""
    real, fresh = draw_parts(draw_measured, 0)
    assert find_lone_rows(fresh, real, MEASURED).to_json()["rows"] == 0
    assert find_lone_rows(copy_rows(fresh, real["train"], 1), real, MEASURED).copied
    real["test"].loc[0, NUMBERS] = real["train"].loc[999, NUMBERS]
    one = find_lone_rows(copy_rows(fresh, real["train"], 1), real, MEASURED)
    assert not one.copied and one.rare.sum() == 1 and one.expected == 1
    assert find_lone_rows(copy_rows(fresh, real["train"], 12), real, MEASURED).copied


def test_patients_who_are_in_the_table_twice_excuse_no_copies_of_training_rows():
    """Adult has such pairs, more than chance makes; of held-out rows the table holds none."""
    real, fresh = draw_parts(draw_measured, 0)
    real["test"].loc[:79, NUMBERS] = real["train"].loc[900:979, NUMBERS].to_numpy()
    few = find_lone_rows(copy_rows(fresh, real["train"], 1), real, MEASURED)
    assert few.expected == 80 and not few.copied
    assert find_lone_rows(copy_rows(fresh, real["train"], 40), real, MEASURED).copied


def test_shared_rows_are_nobodys_and_without_ids_each_row_is_a_patient():
    real, fresh = draw_parts(draw_measured, 0)
    real["train"].loc[1, NUMBERS] = real["train"].loc[0, NUMBERS]
    schema = Schema(MEASURED.columns[1:])
    assert find_lone_rows(copy_rows(fresh, real["train"], 2), real, schema).rows.size == 0
    assert find_lone_rows(copy_rows(fresh, real["train"], 3), real, schema).rows.tolist() == [2]
