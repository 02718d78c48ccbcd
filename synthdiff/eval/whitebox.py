"""Attacks by someone who holds the model: from measured losses to one score per row.

The losses come from `synthdiff.exposure` as arrays, so nothing here needs JAX. Every attack takes
the records in question and records that the attacked model has not learnt from, and returns scores
[n]: higher means "more likely in the training data".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from synthdiff._validate import input_error
from synthdiff.eval import statistics
from synthdiff.eval.membership import Scores, Side, average_scores, score_sides

_MAX_ATTACK_ROWS = 40_000
_CHECKED_MODELS = 4


@dataclass(frozen=True)
class Losses:
    """Some records under the attacked model and under the shadow models.

    own: float [n, levels, noises, kinds], under the model that is attacked.
    shadow: float [models, n, levels, noises, kinds]. member: bool [models, n], which shadow model
    learnt from the record; the targets of an audit are in none.
    """

    own: np.ndarray
    shadow: np.ndarray
    member: np.ndarray

    def take(self, rows: np.ndarray) -> Losses:
        """The same of some of the records."""
        return Losses(self.own[rows], self.shadow[:, rows], self.member[:, rows])

    def attack_shadow(self, model: int) -> tuple[Losses, np.ndarray]:
        """The game in which a shadow model is attacked with the help of the others; who is in."""
        rest = np.arange(len(self.member)) != model
        game = Losses(self.shadow[model], self.shadow[rest], self.member[rest])
        return game, self.member[model]


def mean_loss(losses: np.ndarray) -> np.ndarray:
    """The loss of each record: [..., levels, noises, kinds] -> [...]."""
    return losses.sum(axis=-1).mean(axis=(-2, -1))


def _mean_where(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Mean over models of the entries that `kept` names; over all models where it names none."""
    kept = kept | ~kept.any(axis=0)
    weight = kept.reshape(*kept.shape, *(1,) * (values.ndim - kept.ndim))
    return np.sum(values * weight, axis=0) / weight.sum(axis=0)


def _pooled_std(values: np.ndarray, kept: np.ndarray) -> float:
    """Standard deviation about each record's own mean, one for all records."""
    residuals = (values - _mean_where(values, kept))[kept]
    freedom = len(residuals) - np.sum(kept.any(axis=0))
    return float(np.sqrt(np.sum(residuals**2) / max(freedom, 1))) or 1.0


def loss_threshold(targets: Losses, unseen: Losses) -> np.ndarray:
    """Minus the loss (Yeom et al. 2018, arXiv 1709.01604), over all levels and paired noises."""
    return -mean_loss(targets.own)


def lira_offline(targets: Losses, unseen: Losses) -> np.ndarray:
    """How far the loss falls below that of models without the record, in deviations.

    LiRA with a global variance (Carlini et al. 2022, arXiv 2112.03570), as fewer than 64 models
    ask for. Their 1 - Phi is left out, for it ties where the attack is sure.
    """
    shadow = mean_loss(targets.shadow)
    usual = _mean_where(shadow, ~targets.member)
    return (usual - mean_loss(targets.own)) / _pooled_std(shadow, ~targets.member)


def lira_online(targets: Losses, unseen: Losses) -> np.ndarray:
    """log N(loss; in) - log N(loss; out): means of each record's own, variances global.

    Needs shadow models that learnt from the records; a record without both kinds scores 0.
    """
    shadow, member, loss = mean_loss(targets.shadow), targets.member, mean_loss(targets.own)
    deviations = [
        (loss - _mean_where(shadow, kept)) / _pooled_std(shadow, kept) for kept in (member, ~member)
    ]
    spread = np.log(_pooled_std(shadow, ~member) / _pooled_std(shadow, member))
    both = member.any(axis=0) & ~member.all(axis=0)
    return np.where(both, (deviations[1] ** 2 - deviations[0] ** 2) / 2 + spread, 0.0)


def _log_ratio(records: Losses) -> np.ndarray:
    """log p(x | model) - log p(x), with p(x) the mean over models that did not learn from x."""
    out = ~records.member | records.member.all(axis=0)
    usual = logsumexp(-mean_loss(records.shadow), axis=0, b=out) - np.log(out.sum(axis=0))
    return -mean_loss(records.own) - usual


def rmia(targets: Losses, unseen: Losses) -> np.ndarray:
    """Share of population records z that x outdoes: P_z[p(x|model)/p(x) >= p(z|model)/p(z)].

    Zarifzadeh et al. 2024, arXiv 2312.03262, with gamma = 1, and a = 1 because the likelihood of
    a record has no natural scale. The population are the unseen records.
    """
    ordered = np.sort(_log_ratio(unseen))
    return np.searchsorted(ordered, _log_ratio(targets), "right") / len(ordered)


def _raw_features(records: Losses) -> np.ndarray:
    return records.own.reshape(len(records.own), -1)


def _calibrated_features(records: Losses) -> np.ndarray:
    """Per level and kind: the loss less its mean under shadow models without the record."""
    usual = _mean_where(records.shadow.mean(axis=-2), ~records.member)
    return (records.own.mean(axis=-2) - usual).reshape(len(records.own), -1)


def _scale(features: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Features in deviations of records that the same model has not learnt from.

    Shadow models are smaller and learn from fewer patients: this puts them on one scale.
    """
    spread = unseen.std(axis=0)
    return (features - unseen.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)


def _learn(model: Any, build: Callable, targets: Losses, unseen: Losses) -> np.ndarray:
    """Log-odds of `model`, fitted to who was in which shadow model by the features of `build`."""
    features, labels = [], []
    for m in range(len(unseen.member)):
        game, member = unseen.attack_shadow(m)
        if member.all() or not member.any():  # of few patients
            continue
        found = build(game)
        features.append(_scale(found, found[~member]))
        labels.append(member)
    if not features:
        fix = "hold out more reference patients"
        raise input_error("reference", "too few patients for shadow models to differ in", fix)
    inputs, truth = np.concatenate(features), np.concatenate(labels)
    rows = np.random.default_rng(0).permutation(len(truth))[:_MAX_ATTACK_ROWS]
    model.fit(inputs[rows], truth[rows])
    odds = model.predict_log_proba(_scale(build(targets), build(unseen)))
    return odds[:, 1] - odds[:, 0]


def learnt_losses(targets: Losses, unseen: Losses) -> np.ndarray:
    """A perceptron on every single loss: the attack that won MIDST (SaTML 2025), 46% at 10% FPR."""
    model = MLPClassifier((100,), activation="tanh", alpha=1e-3, max_iter=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten epochs are what we ask for
        return _learn(model, _raw_features, targets, unseen)


def learnt_calibrated(targets: Losses, unseen: Losses) -> np.ndarray:
    """Logistic regression on the losses less what shadow models without the record give them."""
    model = LogisticRegression(C=0.1, max_iter=200)
    return _learn(model, _calibrated_features, targets, unseen)


ATTACKS = {
    "loss": loss_threshold,
    "lira": lira_offline,
    "rmia": rmia,
    "learnt_losses": learnt_losses,
    "learnt_calibrated": learnt_calibrated,
}


def score_rows(targets: Losses, unseen: Losses) -> dict[str, np.ndarray]:
    """The scores [n] of every attack."""
    return {name: attack(targets, unseen) for name, attack in ATTACKS.items()}


def pool_rows(scores: np.ndarray, members: Side, nonmembers: Side) -> Scores:
    """Scores per patient of one attack from those per row, the members' rows first.

    The TPR is by each patient's highest score, AUC and its test by the mean: on RAND HIE the loss
    has AUC .57 by the highest and .60 by the mean, and TPR 3.0% and 1.2% at 1% FPR (three models).
    """
    highest = score_sides(scores, members, nonmembers)
    return Scores(highest, score_sides(scores, members, nonmembers, average_scores))


def check_on_shadows(unseen: Losses, patients: np.ndarray) -> dict[str, float]:
    """Mean AUC per patient of each attack on shadow models, where the answer is known.

    The last few models are attacked in turn with the help of all others. Half the patients are
    the targets; the attacks learn from the rest of them. A positive control: shadow models learn
    from few patients and remember them, so an attack that stays at 0.5 here proves little.
    """
    ids = np.unique(patients)
    wanted = np.isin(patients, np.random.default_rng(0).permutation(ids)[: len(ids) // 2])
    attacks: Mapping[str, Callable] = {**ATTACKS, "lira_online": lira_online}
    found: dict[str, list[float]] = {name: [] for name in attacks}
    for model in range(len(unseen.member))[-_CHECKED_MODELS:]:
        game, member = unseen.attack_shadow(model)
        targets, known = game.take(wanted), game.take(~wanted & ~member)
        inside = member[wanted]
        if inside.all() or not inside.any() or not len(known.own):
            continue
        for name, attack in attacks.items():
            scores, ids = attack(targets, known), patients[wanted]
            sides = [average_scores(scores[s], ids[s]) for s in (inside, ~inside)]
            found[name].append(statistics.auc(*sides))
    return {name: float(np.mean(values)) for name, values in found.items() if values}
