"""What validate_dp.py puts to the test: settings that flags name, or those of a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from _common import FLAGS, define_config_flags, define_numbers, read_config
from _stages import read_stage
from absl import flags

from synthdiff._validate import input_error
from synthdiff.train.dp import DpConfig, PrivacyPlan, plan_privacy
from synthdiff.train.optim import TrainConfig

OWN = ("dp.", "train.", "patients")  # flags of settings, which a finished run has itself


class Claim(NamedTuple):
    """What a private run releases, and how it is noised."""

    dp: DpConfig
    plan: PrivacyPlan


def define_claim_flags() -> None:
    define_config_flags("dp", DpConfig)
    define_config_flags("train", TrainConfig)
    about = "claims, each of a run with these flags; without it the finished run in --run_dir"
    define_numbers("epsilons", "", about, float)
    flags.DEFINE_integer("patients", 10_000, "of the table, which sets the sampling rate")


def list_claims(run_dir: Path) -> tuple[list[Claim], dict | None]:
    """The claims of --epsilons, or that of the run in the folder with its account."""
    if not FLAGS.epsilons:
        return read_claim(run_dir)
    dp, train = read_config("dp", DpConfig), read_config("train", TrainConfig)
    runs = [replace(dp, epsilon=float(epsilon)) for epsilon in FLAGS.epsilons]
    return [make_claim(run, train, FLAGS.patients) for run in runs], None


def make_claim(dp: DpConfig, train: TrainConfig, patients: int) -> Claim:
    return Claim(dp, plan_privacy(dp, train, patients, jax.device_count() * train.accumulate))


def read_claim(run_dir: Path) -> tuple[list[Claim], dict]:
    """The claim of a finished private run, by its own settings, and its account.

    Raises InputError where these settings do not give the noise that the ledger notes: the canaries
    would be of another mechanism than the run's.
    """
    if given := [n for n in FLAGS if n.startswith(OWN) and FLAGS[n].present]:
        problem = "is for settings that --epsilons names, and the run in --run_dir has its own"
        raise input_error(f"--{given[0]}", problem, "leave it out, or name --epsilons")
    if not (run_dir / "privacy.json").exists():
        fix = "name the folder of a run with --dp.epsilon, or settings with --epsilons"
        raise input_error(str(run_dir), "holds no private run, so nothing is claimed", fix)
    account, config = (
        read_stage(run_dir / f"{name}.json", "train") for name in ("privacy", "config")
    )
    fix = "audit it with the version that trained it"
    try:
        dp, train = DpConfig(**account["config"]), TrainConfig(**config["train"])
    except TypeError as error:
        raise input_error(str(run_dir), f"settings of another version ({error})", fix) from error
    claim = make_claim(dp, train, account["public"]["patients"])
    planned, noted = list_noise(claim.plan), read_noise(account)
    if len(planned) != len(noted) or not np.allclose(planned, noted, rtol=1e-3):
        problem = f"its account notes epsilon and noise {noted}, its settings give {planned}"
        raise input_error(str(run_dir / "privacy.json"), problem, fix)
    return [claim], account


def list_noise(plan: PrivacyPlan) -> list[float]:
    """Epsilon, the noise multiplier of every release, and how gradients are sampled."""
    found = [plan.epsilon_pld, plan.codec_sigma, plan.tree_sigma, plan.tree_sigma]
    if steps := plan.gradients:
        found += [steps.sigma, steps.rate, steps.num_steps]
    return [number for number in found if number is not None]


def read_noise(account: dict) -> list[float]:
    """The same, as the ledger of a run has it."""
    names = ("noise_multiplier", "sampling_rate", "steps")
    noted = [entry[name] for entry in account["ledger"] for name in names if name in entry]
    return [account["epsilon"], *noted]
