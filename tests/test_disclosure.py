"""Singling out, linkability and inference against known answers."""

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.disclosure import audit_disclosure, list_attacks
from synthdiff.eval.features import Featurizer
from synthdiff.eval.inference import guess_secret, is_right
from synthdiff.eval.linkability import find_links
from synthdiff.eval.neighbours import nearest
from synthdiff.eval.policy import RESIDUAL
from synthdiff.eval.predicates import NOBODY, Hits, Predicates, draw_predicates, encode_tables
from synthdiff.eval.singling_out import (
    MOST,
    answer_univariate,
    chance_of_one,
    compare_hits,
    read_univariate,
)

SCHEMA = Schema(
    (
        Column("id", "entity"),
        Column("age", "continuous"),
        Column("dose", "continuous"),
        Column("weight", "continuous"),
        Column("sex", "categorical"),
        Column("codes", "code_set"),
    ),
    target="dose",
    sensitive=("sex",),
)


def _draw(seed, patients=400):
    """Two visits each; dose and sex cannot be inferred from the rest."""
    rng = np.random.default_rng(seed)
    rows = 2 * patients
    table = {"id": np.repeat(np.arange(patients), 2) + 10_000 * seed}
    table |= {name: rng.normal(size=rows) for name in ("age", "dose", "weight")}
    table["sex"] = rng.choice(["F", "M"], rows)
    table["codes"] = rng.choice(["A", "B", "A;B", ""], rows)
    return pd.DataFrame(table)


def _audit(synthetic, seed=0):
    return audit_disclosure(_draw(1), _draw(2), synthetic, SCHEMA, np.random.default_rng(seed))


def test_fresh_rows_carry_no_residual_risk():
    for name, record in list_attacks(_audit(_draw(3))).items():
        assert record["residual"]["lower"] <= 0.02, name
        assert record["p_value_holm"] > 0.01, name


def test_a_copy_is_found_by_every_attack():
    attacks = list_attacks(_audit(_draw(1)))
    assert set(attacks) == {
        "singling out, univariate",
        "singling out, multivariate",
        "singling out, 5 columns",
        "linkability",
        "inference of sex",
        "inference of dose",
    }
    for name, record in attacks.items():
        assert record["p_value_holm"] < 1e-6 and record["beats_guessing"], name
        assert record["residual"]["lower"] > 0.05, name
    assert attacks["inference of sex"]["attack"]["value"] == 1.0
    assert "fewer than 30" in attacks["inference of dose"]["outliers"]["skipped"]


def test_p_values_keep_their_level_without_a_leak():
    found = []
    for seed in range(10):
        tables = (_draw(3 * seed + at, 60) for at in range(10, 13))
        result = audit_disclosure(*tables, SCHEMA, np.random.default_rng(seed))
        found += [record["p_value"] < 0.05 for record in list_attacks(result).values()]
    assert len(found) == 60 and np.mean(found) <= 0.12


@pytest.mark.parametrize("patients", [(900, 600), (300, 900)])
def test_unequal_sides_fake_no_residual_risk(patients):
    """A predicate singles out more easily among few."""
    tables = _draw(1, patients[0]), _draw(2, patients[1]), _draw(3, 500)
    result = audit_disclosure(*tables, SCHEMA, np.random.default_rng(0))
    for name, record in result["singling_out"].items():
        assert record["residual"]["lower"] < 0.02 and record["p_value"] > 0.01, name


def test_a_leak_does_not_pass_where_most_real_patients_are_members():
    """Copies of a quarter of the rows: all members are asked, not as many as are held out."""
    for members in (500, 900, 4000):
        train = _draw(1, members)
        leaky = pd.concat([_draw(3, 3 * members // 4), train.iloc[: members // 2]])
        leaky = leaky.sample(1000, random_state=0)
        result = audit_disclosure(train, _draw(2, 500), leaky, SCHEMA, np.random.default_rng(0))
        found = result["singling_out"]
        assert found["univariate"]["residual"]["value"] == pytest.approx(0.25, abs=0.04)
        for name, record in found.items():
            assert "skipped" in record or record["residual"]["upper"] > RESIDUAL.bearable, name


def test_a_copy_of_few_singles_out_whomever_it_asks_about():
    """Many queries about each of few patients: one attempt each, of which none fails."""
    train = _draw(1, 100)
    result = audit_disclosure(train, _draw(2, 100), train, SCHEMA, np.random.default_rng(0))
    found = result["singling_out"]["multivariate"]
    assert found["attack"]["value"] > 0.98 and 70 < found["attempts"] <= 100
    assert found["residual"]["value"] > 0.95


def test_hits_by_hand():
    """Two queries about patient 0 in three about anybody; 100 held out stand for 150."""
    members = Hits(np.array([0, 0, 1, *[NOBODY] * 97]), np.array([1, 1, 1, *[2] * 97]))
    others = Hits(np.array([7, *[NOBODY] * 99]), np.array([1, 2, *[0] * 98]))
    guessed = Hits(np.array([5, *[NOBODY] * 39]), np.ones(40, int))
    found = compare_hits(members, others, guessed, (150, 100))
    assert (found["attempts"], found["control_attempts"]) == (60, 67)  # 100 / (5 / 3), 100 / 1.5
    assert found["attack"]["value"] == 2 / 60  # 3 / 100
    assert found["control"]["value"] == 0  # 1.5 - 1.5 * 2 * 0.5
    assert found["baseline"]["value"] == 1 / 40


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.5, MOST, 5.0])
def test_chance_of_one_is_what_other_people_show(ratio):
    """Counts of predicates with known weights, brought to another number of people."""
    rng, people = np.random.default_rng(0), 1000
    weights = rng.exponential(1 / people, 200_000)
    sizes = rng.binomial(people, weights)
    count = ratio * people
    truth = np.mean(count * weights * (1 - weights) ** (count - 1))
    found = chance_of_one(sizes, ratio).mean()
    if ratio <= MOST:
        assert found == pytest.approx(truth, rel=0.03)
    else:
        assert found > truth  # said to be more


def test_p_values_of_singling_out_keep_their_level():
    """Three members to two held-out, each query finds Poisson many: nothing is to be found."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        sides = [
            Hits(np.where((sizes := rng.poisson(mean, 2000)) == 1, np.arange(2000), NOBODY), sizes)
            for mean in (3.0, 2.0, 3.0)
        ]
        found.append(compare_hits(*sides, (1500, 1000))["p_value"])
    assert np.mean(np.array(found) < 0.05) < 0.1  # Fisher's test alone: 0.2
    leak = Hits(np.where(np.arange(2000) < 900, np.arange(2000), NOBODY), np.ones(2000, np.int64))
    assert compare_hits(leak, *sides[1:], (1500, 1000))["p_value"] < 1e-6


def test_singling_out_counts_patients_and_not_rows():
    column = Column("age", "continuous")
    real = pd.DataFrame({"age": [1.0, 1.0, 2.0, 2.0, 5.0, np.nan]})
    patients = np.array([0, 0, 1, 2, 3, 4])
    queries = [("==", 1.0), ("==", 2.0), ("==", 7.0), (">=", 5.0), ("<=", 1.5), ("missing", None)]
    found = answer_univariate(queries, real, column, patients)
    np.testing.assert_array_equal(found.owners, [0, NOBODY, NOBODY, 3, 0, 4])
    np.testing.assert_array_equal(found.sizes, [1, 2, 0, 1, 1, 1])


def test_univariate_predicates_hold_for_one_synthetic_row():
    numbers = pd.DataFrame({"age": [1.0, 2.0, 2.0, 9.0, np.nan]})
    assert read_univariate(numbers, Column("age", "continuous")) == [
        ("==", 1.0), ("==", 9.0), ("<=", 1.0), (">=", 9.0), ("missing", None)
    ]  # fmt: skip
    codes = pd.DataFrame({"codes": ["A;B", "A", ""]})
    assert read_univariate(codes, Column("codes", "code_set"))[0] == ("==", "B")


def test_datetimes_are_singled_out_too():
    column = Column("seen", "datetime")
    dates = pd.DataFrame({"seen": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-02"])})
    queries = read_univariate(dates, column)
    assert [operator for operator, _ in queries] == ["==", "<="]
    assert (answer_univariate(queries, dates, column, np.arange(3)).owners == 0).all()


def test_multivariate_predicates_are_cut_where_they_isolate_a_row():
    rng = np.random.default_rng(0)
    (table,) = encode_tables([_draw(1)], SCHEMA)
    numeric = np.array([True, True, True, False, False])
    drawn = draw_predicates(table, numeric, 300, rng, guess=False)
    alone = drawn.isolate(table)
    assert 20 < len(alone.columns) <= 300
    *_, found = alone.match(table)
    assert (found.sum(axis=1) == 1).all()
    shorter = alone.cut(np.zeros(len(alone.columns), np.int64))
    assert all((match.sum(axis=1) > 1).any() for match in shorter.match(table))


def test_predicates_match_by_hand():
    table = np.array([[1.0, 2.0, 3.0, np.nan], [0.0, 1.0, 1.0, 0.0]], np.float32)
    queries = Predicates(
        np.array([[0, 1], [0, 0], [0, 1]]),
        np.array([[1, 0], [0, 0], [-1, 0]], np.float32),
        np.array([[2, 1], [np.nan, np.nan], [2, 0]], np.float32),
    )
    *_, found = queries.match(table)
    np.testing.assert_array_equal(found, [[0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    owners, sizes = queries.find_hits(table, np.array([5, 6, 6, 7]))
    np.testing.assert_array_equal(owners, [6, 7, 5])
    owners, sizes = queries.find_hits(table, np.array([7, 6, 5, 7]))  # in no order
    np.testing.assert_array_equal(owners, [NOBODY, 7, 7])
    np.testing.assert_array_equal(sizes, [2, 1, 1])


PAIR = Schema((Column("a", "continuous"), Column("b", "continuous")))


def test_linkability_vector():
    real = pd.DataFrame({"a": [0, 0, 4, 0], "b": [0, 1, 9, 4]})
    synthetic = pd.DataFrame({"a": [0, 1, 4, 9], "b": [0, 1, 4, 9]})
    links = find_links(real, synthetic, PAIR, np.random.default_rng(0))
    assert links.tolist() == [True, False, False, False]


def test_ties_do_not_link_by_the_order_of_the_table():
    """All rows are equal, so two nearest ones agree once in 50; in one fixed order, always."""
    same = pd.DataFrame({"a": np.ones(50), "b": np.ones(50)})
    rates = [find_links(same, same, PAIR, np.random.default_rng(i)).mean() for i in range(100)]
    assert np.mean(rates) == pytest.approx(1 / 50, abs=0.06)


def test_inference_vectors():
    schema = Schema((Column("c0", "categorical"), Column("c1", "categorical")))
    real = pd.DataFrame({"c0": ["a", "b"], "c1": ["x", "y"]})
    for synthetic, rate in ((real, 1.0), (real.assign(c1=["x", "x"]), 0.5)):
        rows, right, chance = guess_secret(
            real, synthetic, schema, schema["c1"], np.random.default_rng(0)
        )
        assert right.mean() == rate and len(rows) == 2
        assert chance.mean() == 0.5


def test_a_guess_is_judged_by_the_secret_and_not_by_itself():
    """Anonymeter 1.1.0 divides by the guess: any negative guess is within 5% of any secret."""
    guesses = np.array([-1.0, -100.0, 96.0, 94.0, np.nan])
    np.testing.assert_array_equal(is_right(guesses, 100.0, 1.0), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(is_right(np.array([-96.0, 100.0]), -100.0, 1.0), [1, 0])
    np.testing.assert_array_equal(is_right(np.array([0.04, 0.06]), 0.0, 1.0), [1, 0])
    np.testing.assert_array_equal(
        is_right(np.array(["a", None], object), np.array(["a", None], object), None), [1, 0]
    )


def test_distance_between_records_treats_missing_as_a_value():
    """Anonymeter 1.1.0 puts two missing cells at distance 1 and one missing cell at NaN."""
    columns = tuple(Column(name, "categorical") for name in "abcd")
    rows = pd.DataFrame([[1, 0, 1, 0], [0, 1, 0, 1], [None, 0, 1, 0]], columns=list("abcd"))
    features = Featurizer.fit(rows, Schema(columns)).transform(rows)
    squares = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squares, [[0, 4, 1], [4, 0, 4], [1, 4, 0]], atol=1e-5)
    numbers = pd.DataFrame({"a": [np.nan, np.nan, 0.3, 1.0]})
    features = Featurizer.fit(numbers, Schema((Column("a", "continuous"),))).transform(numbers)
    assert ((features[0] - features[1]) ** 2).sum() == 0
    assert np.isfinite(features).all() and ((features[0] - features[2]) ** 2).sum() >= 1


def test_order_of_neighbours_vector():
    base = pd.DataFrame({"a": [0, 0.2, 0.15, 0.1]})
    encode = Featurizer.fit(base, Schema((Column("a", "continuous"),))).transform
    ids = nearest(encode(pd.DataFrame({"a": [0.01]})), encode(base), 4)[1]
    np.testing.assert_array_equal(ids[0], [0, 3, 2, 1])


def test_tables_of_one_column_and_of_few_patients_say_what_is_skipped():
    schema = Schema((Column("id", "entity"), Column("age", "continuous")), target="age")
    tables = [_draw(seed, 40)[["id", "age"]] for seed in range(3)]
    result = audit_disclosure(*tables, schema, np.random.default_rng(0))
    assert "skipped" in result["singling_out"]["multivariate"] and "inference" not in result
    few = [_draw(seed, 8) for seed in range(3)]
    attacks = list_attacks(audit_disclosure(*few, SCHEMA, np.random.default_rng(0)))
    assert "skipped" in attacks["linkability"] and "skipped" in attacks["inference of sex"]
