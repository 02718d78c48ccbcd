"""White-box scores on losses whose law is known: Gaussian, shifted by `mu` where in training."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.eval import statistics
from synthdiff.eval.audit import audit
from synthdiff.eval.membership import Side, average_scores, patient_scores
from synthdiff.eval.report.privacy import write_privacy
from synthdiff.eval.whitebox import (
    ATTACKS,
    Losses,
    check_on_shadows,
    lira_offline,
    lira_online,
    loss_threshold,
    pool_rows,
    rmia,
)

COUNT, MODELS = 5000, 64
HARD = 3.0  # spread of the records' own difficulty, which a plain threshold cannot know


def one_number(values):
    return values[..., None, None, None]


def gaussian_game(rng, mu, *, count=COUNT, models=MODELS, difficulty=HARD, seen=None):
    """Half the records are members of the attacked model; `seen`: who is in which shadow model."""
    seen = np.zeros((models, count), bool) if seen is None else seen
    member = np.arange(count) < count // 2
    level = difficulty * rng.normal(size=count)
    own = level + rng.normal(size=count) - mu * member
    shadow = level + rng.normal(size=(models, count)) - mu * seen
    return Losses(one_number(own), one_number(shadow), seen), member


def check(scores, member, effect):
    """AUC and TPR at 1% FPR against N(effect, 1) and N(0, 1), 3 to 4 standard errors wide."""
    sides = scores[member], scores[~member]
    assert statistics.auc(*sides) == pytest.approx(norm.cdf(effect / np.sqrt(2)), abs=0.025)
    expected = norm.sf(norm.isf(0.01) - effect)
    assert statistics.tpr_at_fpr(*sides) == pytest.approx(expected, abs=0.02 + 0.2 * expected)


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.0])
def test_attacks_on_gaussian_scores_reach_the_closed_form(mu):
    rng = np.random.default_rng(int(10 * mu))
    unseen, _ = gaussian_game(rng, 0.0)
    game, member = gaussian_game(rng, mu)
    check(lira_offline(game, unseen), member, mu / np.sqrt(1 + 1 / MODELS))
    # the mean of e^N(0, 1) over the models has the relative variance (e - 1) / models
    check(rmia(game, unseen), member, mu / np.sqrt(1 + (np.e - 1) / MODELS))
    check(loss_threshold(game, unseen), member, mu / np.sqrt(1 + HARD**2))
    seen = rng.random((MODELS, COUNT)) < 0.5
    game, member = gaussian_game(rng, mu, seen=seen)
    if mu:  # without a shift there is no evidence to order records by
        check(lira_online(game, unseen), member, mu)


def test_lira_leaves_out_the_models_that_learnt_from_the_record():
    """With who is in which shadow model unknown, the baseline is wrong by mu / 2."""
    seen = np.random.default_rng(0).random((MODELS, COUNT)) < 0.5
    game, member = gaussian_game(np.random.default_rng(0), 2.0, seen=seen)
    blind = Losses(game.own, game.shadow, np.zeros_like(seen))
    told, untold = (lira_offline(g, g)[~member].mean() for g in (game, blind))
    assert told == pytest.approx(0.0, abs=0.06)
    assert untold < -0.5


def test_a_record_that_all_shadow_models_know_is_scored_still():
    game, _ = gaussian_game(np.random.default_rng(0), 1.0, count=50, models=4)
    seen = game.member.copy()
    seen[:, 0] = True
    for attack in (lira_offline, lira_online, rmia):
        scores = attack(Losses(game.own, game.shadow, seen), game)
        assert np.isfinite(scores).all()
    assert lira_online(Losses(game.own, game.shadow, seen), game)[0] == 0.0


def wide_game(rng, mu, count, models, seen, learns=True):
    """Losses [n, 4, 3, 2] with the signal in one level and kind, and noise in all the others."""
    member = rng.random(count) < 0.5 if learns else np.zeros(count, bool)
    shape = (count, 4, 3, 2)
    level = HARD * rng.normal(size=(count, 4, 1, 2))
    own, shadow = level + rng.normal(size=shape), level + rng.normal(size=(models, *shape))
    own[:, 0, :, 0] -= mu * member[:, None]
    shadow[:, :, 0, :, 0] -= mu * seen[..., None]
    return Losses(own, shadow, seen), member


def wide_pair(seed, mu, models=8, count=1500):
    rng = np.random.default_rng(seed)
    seen = rng.random((models, count)) < 0.5
    unseen, _ = wide_game(rng, mu, count, models, seen, learns=False)
    game, member = wide_game(rng, mu, count, models, np.zeros((models, count), bool))
    return game, unseen, member


def test_learnt_attack_finds_where_the_signal_is():
    game, unseen, member = wide_pair(0, 1.5)

    def area(name):
        scores = ATTACKS[name](game, unseen)
        return statistics.auc(scores[member], scores[~member])

    # 3 noises about a mean over 8 models, in one feature of eight
    best = norm.cdf(1.5 / np.sqrt(2 * (1 + 1 / 8) / 3))
    assert area("learnt_calibrated") == pytest.approx(best, abs=0.03)
    assert area("lira") < best - 0.1  # adds seven features of noise
    assert area("learnt_losses") > area("loss") + 0.02


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_find_nothing_in_a_model_that_learnt_from_nobody(name):
    """The shadow models do remember, so the attack is primed; the p-value keeps its level."""
    low = []
    for seed in range(6):
        game, _, _ = wide_pair(seed, 0.0, count=600)
        remembered, primed, truth = wide_pair(seed, 1.5, count=600)
        scores = ATTACKS[name](game, primed)
        labels = np.random.default_rng(seed).random(600) < 0.5
        low.append(statistics.membership_p_value(scores[labels], scores[~labels]))
    assert min(low) > 0.01 / len(ATTACKS)
    if name != "loss":  # power: the same attack and size find the members where there are some
        found = ATTACKS[name](remembered, primed)
        assert statistics.membership_p_value(found[truth], found[~truth]) < 0.01


def test_what_an_attack_does_not_depend_on():
    """A monotone map of the loss leaves a threshold's ROC; a record's own offset leaves LiRA."""
    game, member = gaussian_game(np.random.default_rng(0), 1.0)
    scores = loss_threshold(game, game)
    bent = loss_threshold(Losses(np.exp(game.own), game.shadow, game.member), game)
    for statistic in (statistics.auc, statistics.tpr_at_fpr):
        assert statistic(scores[member], scores[~member]) == statistic(bent[member], bent[~member])
    offset = one_number(5 * np.random.default_rng(1).normal(size=COUNT))
    moved = Losses(game.own + offset, game.shadow + offset, game.member)
    np.testing.assert_allclose(lira_offline(moved, game), lira_offline(game, game), atol=1e-9)


def test_check_on_shadows_knows_memory_from_none():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(300), 2)
    seen = (rng.random((8, 300)) < 0.5)[:, patients]
    for mu, low, high in ((0.0, 0.42, 0.58), (2.0, 0.85, 1.0)):
        unseen, _ = wide_game(rng, mu, 600, 8, seen, learns=False)
        found = check_on_shadows(unseen, patients)
        assert set(found) == {*ATTACKS, "lira_online"}
        assert low < found["learnt_calibrated"] < high


def test_few_patients_who_are_all_in_one_shadow_model_are_no_crash():
    rng, patients = np.random.default_rng(0), np.arange(20)
    seen = rng.random((8, 20)) < 0.5
    seen[2:6] = True  # one that learnt from all has nobody to compare with
    seen[6, 3:] = True
    unseen, _ = wide_game(rng, 2.0, 20, 8, seen, learns=False)
    found = check_on_shadows(unseen, patients)
    assert np.isfinite(list(found.values())).all()


def test_evidence_of_rows_adds_up_and_one_loud_row_stands_out():
    """Scores N(mu, 1) of 4 rows: their mean has the AUC of a shift of 2 mu, their maximum less."""
    rng, patients = np.random.default_rng(0), np.repeat(np.arange(2000), 4)
    side = Side(np.zeros((8000, 1)), patients, np.zeros(8000, np.uint64))
    scores = rng.normal(size=16_000)
    scores[:8000] += 0.5
    found = statistics.auc(*pool_rows(scores, side, side).ranked)
    assert found == pytest.approx(norm.cdf(1.0 / np.sqrt(2)), abs=0.025)
    highest = [patient_scores(part, patients) for part in np.split(scores, 2)]
    assert statistics.auc(*highest) < norm.cdf(1.0 / np.sqrt(2)) - 0.05  # power
    loud = rng.normal(size=16_000)
    loud[:800:4] += 9.0  # one row of each of 200 of 2,000 members
    assert statistics.tpr_at_fpr(*pool_rows(loud, side, side).raw) >= 0.1
    average = [average_scores(part, patients) for part in np.split(loud, 2)]
    assert average[0][0] == pytest.approx(loud[:4].mean())


SCHEMA = Schema((Column("patient", "entity"), Column("x", "continuous"), Column("y", "continuous")))


def visits(seed, patients):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.repeat(np.arange(patients), 2)) + 1000 * seed
    values = rng.normal(size=(2, len(ids)))
    return pd.DataFrame({"patient": ids, "x": values[0], "y": values[1]})


def run_audit(whitebox=None):
    tables = (visits(1, 90), visits(2, 60), visits(3, 60), visits(4, 120))
    return audit(*tables, SCHEMA, whitebox=whitebox)


def give(scores, **about):
    return {"made_up": scores}, {"shadow_models": 8, "shadow_patients": 60, **about}


@pytest.fixture(scope="module")
def leaking():
    """An audit whose white-box attack scores one visit of each member above all others."""
    shown = {}

    def attack(members, nonmembers):
        shown["rows"] = members, nonmembers
        first = ~members["patient"].duplicated()
        scores = np.concatenate([first + members["x"] * 1e-3, nonmembers["x"] * 1e-3])
        return give(scores, shadow_auc={"made_up": 0.9})

    return run_audit(attack), shown["rows"]


def test_an_attack_on_the_model_has_the_members_of_the_other_attacks(leaking):
    result, (members, nonmembers) = leaking
    assert (
        result["members"] == members["patient"].nunique() == nonmembers["patient"].nunique() == 60
    )
    assert set(members["patient"]) < set(visits(1, 90)["patient"])
    assert set(nonmembers["patient"]) == set(visits(2, 60)["patient"])
    found = result["whitebox"]["attacks"]["made_up"]
    assert found["auc"]["value"] == 1.0 and found["tpr_at_1pct_fpr"]["value"] == 1.0
    assert result["whitebox"]["verdict"] == "LEAK DETECTED"


def test_the_verdict_on_the_table_is_not_that_on_the_model(leaking):
    result, _ = leaking
    plain = run_audit()
    assert result["verdict"] == plain["verdict"] != "LEAK DETECTED"
    assert "whitebox" not in plain
    for name, attack in plain["attacks"].items():
        assert attack["auc"] == result["attacks"][name]["auc"]
        assert result["attacks"][name]["p_value_holm"] >= attack["p_value_holm"]  # one test more
    assert result["minimum_detectable_tpr"] >= plain["minimum_detectable_tpr"]


def test_finding_nothing_is_inconclusive_where_the_attack_does_not_work():
    for power in (0.52, 0.9):
        rng = np.random.default_rng(0)
        result = run_audit(
            lambda a, b, rng=rng, power=power: give(
                rng.normal(size=len(a) + len(b)),
                shadow_auc={"made_up": power, "not_tried_on_the_model": 0.99},
            )
        )["whitebox"]
        assert result["verdict"] == "INCONCLUSIVE"  # 60 patients a side
        assert any("shadow models" in reason for reason in result["reasons"]) == (power < 0.6)


def test_a_model_that_remembers_outliers_alone_is_caught_on_them():
    tables = [visits(seed, 800) for seed in range(1, 5)]

    def run(bump):
        def attack(*sides):
            scores = np.random.default_rng(7).normal(size=sum(map(len, sides)))
            far = np.flatnonzero(np.hypot(sides[0]["x"], sides[0]["y"]) > 2.7)
            scores[far] += bump  # the members' rows come first
            return give(scores, shadow_auc={})

        return audit(*tables, SCHEMA, whitebox=attack)["whitebox"]

    caught, quiet = run(9.0), run(0.0)
    outliers = caught["strata"]["outliers"]["attacks"]["made_up"]
    assert outliers["auc"]["value"] > 0.62 > 0.55 > caught["attacks"]["made_up"]["auc"]["value"]
    assert outliers["tpr_at_1pct_fpr"]["value"] > 0.25
    assert any("on outliers only" in reason for reason in caught["reasons"])
    assert quiet["strata"]["outliers"]["attacks"]["made_up"]["p_value_holm"] > 0.05
    assert quiet["verdict"] == "INCONCLUSIVE" and caught["verdict"] == "LEAK DETECTED"
    assert caught["strata"]["rare values"] == quiet["strata"]["rare values"]  # no categories


def test_scores_that_do_not_fit_are_refused():
    for bad in (np.zeros(3), np.full(240, np.nan)):
        with pytest.raises(InputError, match="made_up"):
            run_audit(lambda a, b, bad=bad: give(bad))


def test_report_shows_the_attacks_on_the_model(leaking):
    page = write_privacy(leaking[0], {}, SCHEMA)
    assert "Attacks on the model" in page and "made up" in page and "0.900" in page
    assert "Attacks on the model, on vulnerable patients only" in page
    assert "Attacks on the model" not in write_privacy(run_audit(), {}, SCHEMA)
