import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.copies import compare_copies, compare_near_copies, list_nearest
from synthdiff.eval.game import set_up_game
from synthdiff.eval.membership import Side
from synthdiff.eval.statistics import adjust_together

SCHEMA = Schema((Column("id", "entity"), *(Column(n, "continuous") for n in "abc")))


def _side(rng, patients, visits, dims=3, levels=None, offset=0):
    values = rng.normal(size=(patients * visits, dims)).astype(np.float32)
    if levels:
        values = np.floor(stats.norm.cdf(values) * levels).astype(np.float32)
    ids = offset + rng.permutation(np.repeat(np.arange(patients), visits))
    return Side(values, ids, _keys(values))


def _keys(values):
    return np.array([hash(row.tobytes()) & (2**63 - 1) for row in values], dtype=np.uint64)


def _game(seed=0, patients=400, jitter=None, share=0.0):
    """A game over two visits each; `share` of the synthetic rows are training rows with jitter."""
    rng = np.random.default_rng(seed)
    tables = {}
    for part in ("train", "test", "reference", "synthetic"):
        df = pd.DataFrame(rng.normal(size=(2 * patients, 3)), columns=list("abc"))
        tables[part] = df.assign(id=np.repeat(np.arange(patients), 2) + 10_000 * len(tables))
    count = int(share * 2 * patients)
    copied = tables["train"].loc[: count - 1, list("abc")]
    tables["synthetic"].loc[: count - 1, list("abc")] = copied + jitter if count else copied
    return set_up_game(tables, SCHEMA, rng), tables


def test_near_copies_are_found_against_the_holdout():
    clean, _ = _game()
    found = compare_near_copies(clean)
    assert found["residual"]["lower"] <= 0 <= found["residual"]["upper"]
    # A row in a hundred lies that near by definition, so two visits make it about 2%.
    assert 0.0 <= found["control"]["value"] < 0.06
    leaky, _ = _game(share=0.2, jitter=1e-3)
    found = compare_near_copies(leaky)
    assert found["p_value"] < 1e-6
    # A fifth of the synthetic rows repeat the rows of the first fifth of the patients.
    assert found["residual"]["lower"] < 0.2 < found["residual"]["upper"] + 0.02


def test_nearest_matches_name_rows_of_both_tables_and_no_value():
    game, tables = _game(share=0.01, jitter=1e-4)
    listed = list_nearest(game)
    assert [set(row) for row in listed] == [
        {"train_row", "synthetic_row", "distance", "distance_to_reference"}
    ] * 10
    for row in listed[:5]:
        real = tables["train"].iloc[row["train_row"]][list("abc")].to_numpy(float)
        made = tables["synthetic"].iloc[row["synthetic_row"]][list("abc")].to_numpy(float)
        assert np.abs(real - made).max() < 1e-3
    assert sorted(row["distance"] for row in listed) == [row["distance"] for row in listed]


def test_copied_rows_are_counted_against_the_holdout():
    rng = np.random.default_rng(0)
    members, others = _side(rng, 50, 2), _side(rng, 50, 2, offset=50)
    synthetic = np.concatenate([members.features[:30], others.features[:10]])
    found = compare_copies(members, others, synthetic, _keys(synthetic), rng)
    assert (found["train_share"], found["holdout_share"]) == (0.3, 0.1)
    assert found["closer_to_train_share"]["value"] == 0.75
    assert found["p_value"] < 0.05


def test_copy_of_a_table_with_few_distinct_rows_fails_the_smoke_test():
    """Every row occurs on both sides, so "closer to train" ties; rows paired one by one do not."""
    rng = np.random.default_rng(0)
    members, others = (_side(rng, 500, 1, dims=4, levels=3, offset=i) for i in (0, 500))
    found = compare_copies(members, others, members.features, members.keys, rng)
    assert found["train_share"] == 1.0 > found["holdout_share"]
    assert found["p_value"] < 0.01
    assert found["closer_to_train_share"]["value"] == pytest.approx(0.5, abs=0.05)


def test_copies_alone_reject_among_all_tests_of_an_audit():
    """With whole patients, strata, disclosure and the model there are up to a hundred of them."""
    rng = np.random.default_rng(0)
    members, others = _side(rng, 200, 1), _side(rng, 200, 1, offset=200)
    synthetic = np.concatenate([members.features[:40], _side(rng, 160, 1).features])
    found = compare_copies(members, others, synthetic, _keys(synthetic), rng)
    results = [found, *({"p_value": 0.5} for _ in range(99))]
    adjust_together(results)
    assert found["p_value_holm"] < 0.01


@pytest.mark.parametrize("levels", [None, 3])
def test_copy_test_keeps_its_level_without_copies(levels):
    p_values, covered = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sides = [_side(rng, 60, 2, levels=levels, offset=i) for i in (0, 60)]
        synthetic = _side(rng, 300, 1, levels=levels)
        found = compare_copies(*sides, synthetic.features, synthetic.keys, rng)
        p_values.append(found["p_value"])
        share = found["closer_to_train_share"]
        covered.append(share["lower"] <= 0.5 <= share["upper"])
    assert np.mean(np.array(p_values) < 0.05) <= 0.13
    assert np.mean(covered) >= 0.85
