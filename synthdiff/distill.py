"""A student: a model that learns from what another draws, for tables of few network evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthdiff._validate import input_error
from synthdiff.config import Config
from synthdiff.run_folder import hold_run
from synthdiff.sampling import draw_records
from synthdiff.synthesizer import Synthesizer, train
from synthdiff.train.checkpoint import hash_tree


def distill(
    teacher: Synthesizer,
    *,
    num_records: int,
    config: Config,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Synthesizer:
    """Trains a model on `num_records` records that the teacher draws, with the teacher's codec.

    A few steps of a sampler draw many categories at once, each by itself, and lose what they have
    in common. A student that makes several guesses at once (`config.model.components`) can say
    what hangs together (Hayakawa et al. 2024, arXiv 2410.08709), and a teacher's records, unlike
    the table's, are as many as that takes to learn. It sees no patient: what it may give away, the
    teacher's tables may. The records are those of the teacher's sampler and config.train.seed.
    folder: as for `fit`. Raises InputError where the teacher has differential privacy, for the
    canaries that test its claim belong to its own training.
    """
    if teacher.privacy:
        fix = "draw from it itself, with fewer steps if time is short"
        raise input_error("the teacher", "was trained with differential privacy", fix)
    data = draw_records(
        teacher.codec,
        teacher.config,
        teacher.params,
        num_rows=num_records,
        seed=config.train.seed,
    )
    config = replace(
        config,
        teacher=hash_tree(data),
        min_patients=teacher.config.min_patients,
        train=config.train.limit_steps(num_records),
    )
    with hold_run(folder) as ours:
        return train(teacher.codec, data, None, config, teacher.visits, ours, progress)
