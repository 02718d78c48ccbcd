"""Tables as matrices: what distances see of rare levels, rare codes and extremes."""

import numpy as np
import pandas as pd
import pytest

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.attacks import calibrated_distance, distance
from synthdiff.eval.features import Featurizer, hash_signs
from synthdiff.eval.game import set_up_game
from synthdiff.eval.membership import score_attack
from synthdiff.eval.statistics import auc

LEVEL = Schema((Column("icd", "categorical"),))
CODES = Schema((Column("id", "entity"), Column("codes", "code_set")))


def _squares(df, schema, reference=None):
    features = Featurizer.fit(df if reference is None else reference, schema).transform(df)
    return ((features[:, None] - features[None]) ** 2).sum(axis=2)


def test_signs_are_of_unit_length_nearly_at_right_angles_and_of_the_string_alone():
    keys = np.array([f"E{i}" for i in range(500)], dtype=object)
    signs = hash_signs(keys)
    cosines = signs @ signs.T
    np.testing.assert_allclose(np.diag(cosines), 1.0, rtol=1e-5)
    others = cosines[~np.eye(500, dtype=bool)]
    assert abs(others.mean()) < 0.005 and others.std() == pytest.approx(1 / 8, rel=0.05)
    np.testing.assert_array_equal(hash_signs(keys[::-1]), signs[::-1])


def test_rare_levels_are_apart_and_like_ones_together():
    df = pd.DataFrame({"icd": [f"E{i}" for i in range(200)] * 2})
    squares = _squares(df, LEVEL)
    assert squares[np.arange(200), np.arange(200, 400)].max() < 1e-6
    apart = squares[:200, :200][~np.eye(200, dtype=bool)]
    assert apart.min() > 0.3 and apart.mean() == pytest.approx(1.0, abs=0.02)
    few = _squares(pd.DataFrame({"icd": ["a", "b", "c", "d"]}), LEVEL, df.assign(icd="a"))
    assert few[1, 2] == 0  # levels that a short vocabulary does not know are one


def test_numbers_beyond_the_reference_keep_their_distance():
    reference = pd.DataFrame({"x": np.linspace(0, 1, 101)})
    squares = _squares(pd.DataFrame({"x": [2.0, 3.0, 1e9]}), PLAIN, reference)
    assert 0 < squares[0, 1] < squares[0, 2] <= 1


PLAIN = Schema((Column("x", "continuous"),))


def _patients(seed, count=400):
    """Each has three codes of 3,000, all of them rare."""
    rng = np.random.default_rng(seed)
    cells = [";".join(map(str, rng.choice(3000, 3, replace=False))) for _ in range(count)]
    return pd.DataFrame({"id": seed * 10_000 + np.arange(count), "codes": cells})


@pytest.mark.parametrize("attack", [distance, calibrated_distance])
def test_attacks_see_memorised_sets_of_rare_codes(attack):
    tables = {part: _patients(seed) for seed, part in enumerate(("train", "test", "reference"))}
    tables["synthetic"] = pd.concat([tables["train"], _patients(3)]).assign(id=1)
    game = set_up_game(tables, CODES, np.random.default_rng(0))
    scores = score_attack(attack, game.members, game.nonmembers, game.view)
    assert auc(*scores.raw) > 0.99
