"""Settings of a model and its training: flags, and the config that they describe."""

from _common import FLAGS, define_config_flags, read_config
from _data import define_data_flags
from absl import flags

from synthdiff.config import Config
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.diffusion.schedules import Schedule
from synthdiff.models.config import ModelConfig
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

CONFIGS = {
    "model": ModelConfig,
    "schedule": Schedule,
    "train": TrainConfig,
    "sampler": SamplerConfig,
    "dp": DpConfig,
}


def define_setting_flags() -> None:
    for prefix, config in CONFIGS.items():
        define_config_flags(prefix, config)
    flags.DEFINE_integer("min_patients", Config.min_patients, "rarest value that may be learnt")


def define_training_flags() -> None:
    """Which table, and every setting."""
    define_data_flags()
    define_setting_flags()


def build_config() -> Config:
    """The config that the flags describe."""
    configs = {prefix: read_config(prefix, config) for prefix, config in CONFIGS.items()}
    return Config(**configs, min_patients=FLAGS.min_patients)
