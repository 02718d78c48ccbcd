"""One model among many: the config of an arm, its training, its scores and what it exposes."""

import shlex
import time

import jax
import numpy as np
import pandas as pd
from _common import FLAGS
from _config import build_config
from absl.flags import Error
from absl.testing import flagsaver

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.schema import Schema
from synthdiff.data.split import split_frame
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.detection import detection_auc
from synthdiff.eval.fidelity import evaluate_fidelity
from synthdiff.eval.game import patient_ids, set_up_game
from synthdiff.eval.membership import patient_scores, score_attack
from synthdiff.eval.statistics import auc_interval
from synthdiff.eval.utility import predict_target, score_utility
from synthdiff.models.config import count_params
from synthdiff.scoring import average_records, measure_loss
from synthdiff.synthesizer import Synthesizer, fit

EVEN_SPLIT = {"train": 0.4, "test": 0.4, "reference": 0.2}  # as many members as strangers
NUM_NOISES = 4


def read_arm(text: str, seed: int) -> Config:
    """The config of 'name: --flag=value ...', the other flags as they are, with a training seed."""
    with flagsaver.flagsaver():
        try:
            rest = FLAGS(["", *shlex.split(text.partition(":")[2])])[1:]
        except Error as error:
            raise input_error(f"--arm={text}", str(error), "give another flag or value") from error
        if rest:
            raise input_error(f"--arm={text}", f"{rest[0]!r} is no flag", "write --model.name=mlp")
        FLAGS["train.seed"].value = seed
        return build_config()


def fit_timed(
    config: Config, table: pd.DataFrame, schema: Schema, start: Synthesizer | None = None
) -> tuple[Synthesizer, dict[str, float]]:
    """The trained model, and the seconds that it took as a score.

    Programs of earlier models are let go: those of a dozen broke XLA's compiler (a segmentation
    fault, as a process may map only so many pieces of memory).
    """
    jax.clear_caches()
    started = time.perf_counter()
    options = {"config": config, "start": start, "max_visits": FLAGS.max_visits}
    model = fit(table, schema, **options, progress=False)
    return model, {"seconds to train": time.perf_counter() - started}


def score_model(
    model: Synthesizer, parts: dict[str, pd.DataFrame], schema: Schema, seed: int, num_rows: int
) -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, float]]:
    """Draws `num_rows`, and scores model and table on the patients of parts["test"].

    The table, the loss in nats of each row of "test" and "train", and the scores. Where rows are
    visits, `num_rows` patients are drawn and losses are of patients.
    """
    table = model.sample(num_rows, seed=seed)
    fidelity = evaluate_fidelity(parts["train"], parts["test"], table, schema)
    nats = {p: measure_loss(model, parts[p], num_noises=NUM_NOISES) for p in ("test", "train")}
    scores = {
        "held-out loss": average_records(model, parts["test"], nats["test"]),
        "training loss": average_records(model, parts["train"], nats["train"]),
        "detection AUC": detection_auc(parts["test"], table, schema, seed)["value"],
        "fidelity rate": fidelity["rate"],
        "parameters": count_params(model.params),
    }
    return table, nats, scores


def score_fully(
    model: Synthesizer, parts: dict[str, pd.DataFrame], schema: Schema, seed: int, num_rows: int
) -> dict[str, float]:
    """`score_model`, of what use the table is, and what both expose."""
    table, nats, scores = score_model(model, parts, schema, seed, num_rows)
    sources = {"train": parts["train"], "synthetic": table}
    use = score_utility(predict_target(sources, parts["test"], schema, seed)).get("mean", {})
    gaps = {f"{name} gap, points": value for name, value in use.get("gap_points", {}).items()}
    for source in ("trtr", "tstr"):
        gaps |= {f"utility {source} {name}": v for name, v in use.get(source, {}).items()}
    gap = {"loss gap": scores["held-out loss"] - scores["training loss"]}
    return scores | gaps | score_exposure(table, nats, parts, schema, seed) | gap


def split_patients(
    df: pd.DataFrame, schema: Schema, seed: int, patients: int | None
) -> dict[str, pd.DataFrame]:
    """The three parts, equally many patients to train and to test; train cut to `patients`."""
    parts = split_frame(df, schema.entity, EVEN_SPLIT, seed)
    ids = patient_ids(parts["train"], schema, "train")
    people = np.unique(ids)
    if patients:
        if patients > len(people):
            fix = f"use at most {len(people)}"
            raise input_error(f"{patients} patients", "more than the training part holds", fix)
        kept = np.random.default_rng(seed).choice(people, patients, replace=False)
        parts["train"] = parts["train"][np.isin(ids, kept)].reset_index(drop=True)
    return parts


def score_exposure(
    table: pd.DataFrame, nats: dict[str, np.ndarray], parts: dict, schema: Schema, seed: int
) -> dict[str, float]:
    """AUC of every attack on the table and of the model's loss, patient by patient."""
    game = set_up_game(parts | {"synthetic": table}, schema, np.random.default_rng([seed, 5]))
    scores = {}
    for name, attack in ATTACKS.items():
        found = score_attack(attack, game.members, game.nonmembers, game.view)
        scores[f"attack {name} AUC"] = auc_interval(*found.ranked)["value"]
    return scores | score_loss(nats, parts, schema)


def score_loss(nats: dict[str, np.ndarray], parts: dict, schema: Schema) -> dict[str, float]:
    """AUC of the model's loss in nats of each row of "train" and "test", patient by patient."""
    by_patient = [
        patient_scores(-nats[part], patient_ids(parts[part], schema, part))
        for part in ("train", "test")
    ]
    return {"attack on the model, loss AUC": auc_interval(*by_patient)["value"]}
