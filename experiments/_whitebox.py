"""What `audit.py --whitebox` does to a trained model: shadow models, losses, attacks."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.data.schema import Schema
from synthdiff.diffusion.losses import make_loss_fn
from synthdiff.diffusion.schedules import Schedule
from synthdiff.eval.game import patient_ids
from synthdiff.eval.whitebox import Losses, check_on_shadows, score_rows
from synthdiff.exposure.measure import make_measure_losses, measure_probes
from synthdiff.exposure.shadow import draw_membership, take_model, train_shadows
from synthdiff.layout import Layout, Records
from synthdiff.models.config import ModelConfig
from synthdiff.synthesizer import Synthesizer
from synthdiff.train.optim import TrainConfig

SHADOW_MODEL = ModelConfig("mlp", width=8, hidden=128, depth=2)
SHADOW_TRAIN = TrainConfig(batch_size=128, steps_per_call=100, ema_decay=0.98)
MAX_POOL_PATIENTS = 1500


def _choose_pool(df: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of at most MAX_POOL_PATIENTS reference patients, and whose each is."""
    ids = patient_ids(df, schema, "reference")
    chosen = np.random.default_rng(3).permutation(np.unique(ids))[:MAX_POOL_PATIENTS]
    kept = np.isin(ids, chosen)
    return df[kept], ids[kept]


class Sizes(NamedTuple):
    """Of an attack on a model: shadow models, training steps of each, fixed noises per level."""

    models: int
    steps: int
    noises: int


def make_measure_shadows(
    layout: Layout, schedule: Schedule, learnt: Records, member: np.ndarray, sizes: Sizes
) -> Callable[[Records], np.ndarray]:
    """Trains the shadow models; losses of records [n] under all: [models, n, levels, noises, 2].

    member: bool [models, rows of learnt], which of them each model learns from.
    """
    config = Config(SHADOW_MODEL, schedule, replace(SHADOW_TRAIN, num_steps=sizes.steps))
    init_fn, denoiser = config.make_denoiser(layout)
    shadows = train_shadows(init_fn, make_loss_fn(denoiser), learnt, member, config.train)
    each = [take_model(shadows, m) for m in range(sizes.models)]
    measure = make_measure_losses(denoiser, num_noises=sizes.noises)
    return lambda records: np.stack([measure(params, records) for params in each])


def attack_model(
    model: Synthesizer,
    reference: pd.DataFrame,
    sizes: Sizes,
    members: pd.DataFrame,
    nonmembers: pd.DataFrame,
) -> tuple[dict[str, np.ndarray], dict]:
    """Scores per row of members and non-members, and facts for the report.

    Shadow models learn from reference patients only, none of whom is attacked. Where rows are
    visits, the records of patients are attacked, and each row has the scores of its record.
    """
    if sizes.models < 4:
        raise input_error("--shadow_models", f"{sizes.models} is too few", "use 8 to 64")
    layout, schedule = model.codec.layout, model.config.schedule
    reference, ids = _choose_pool(model.to_records(reference), model.schema)
    patients, owner = np.unique(ids, return_inverse=True)

    def encode(df: pd.DataFrame, use: int) -> Records:
        return Records(*model.codec.encode(df, np.random.default_rng([use, 4])))

    # Encoded anew for the attack, as a member is whose noise within granular values is unknown.
    learnt, pool = encode(reference, 0), encode(reference, 1)
    sides = [model.to_records(side) for side in (members, nonmembers)]
    targets = encode(pd.concat(sides, ignore_index=True), 2)
    member = draw_membership(len(patients), sizes.models, 0)[:, owner]
    of_shadows = make_measure_shadows(layout, schedule, learnt, member, sizes)
    denoiser = model.config.make_denoiser(layout)[1]
    of_model = make_measure_losses(denoiser, num_noises=sizes.noises)

    def measure(records: Records, who: np.ndarray) -> Losses:
        return Losses(of_model(model.params, records), of_shadows(records), who)

    unseen = measure(pool, member)
    nobody = np.zeros((sizes.models, len(targets.continuous)), bool)
    scores = score_rows(measure(targets, nobody), unseen)
    scores |= measure_probes(denoiser, model.params, targets)
    record = [model.number_records(side) for side in (members, nonmembers)]
    rows = np.append(record[0], len(sides[0]) + record[1])
    return {name: np.asarray(found)[rows] for name, found in scores.items()}, {
        "shadow_models": sizes.models,
        "shadow_steps": sizes.steps,
        "shadow_patients": len(patients),
        "noises": sizes.noises,
        "shadow_auc": check_on_shadows(unseen, ids),
    }
