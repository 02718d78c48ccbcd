"""How an audit attacks: its flags, and the attacks on the model that they describe."""

from functools import partial

from _common import FLAGS
from absl import flags

from synthdiff.eval.game import MAX_PATIENTS


def define_game_flags() -> None:
    about = "patients attacked a side, at most; time grows with it, and what a small leak needs"
    flags.DEFINE_integer("max_patients", MAX_PATIENTS, about, lower_bound=20)
    about = "people of whom the patients are a part; default: the patients of the real tables"
    flags.DEFINE_integer("population", None, about, lower_bound=1)


def define_attack_flags() -> None:
    define_game_flags()
    flags.DEFINE_boolean("whitebox", False, "also attack the model itself")
    flags.DEFINE_integer("shadow_models", 16, "models trained on reference patients (8 to 64)")
    flags.DEFINE_integer("shadow_steps", 800, "training steps of each shadow model")
    flags.DEFINE_integer("noises", 4, "fixed noises per level; 16 costs four times as much")


def attack_with_flags(model, reference):
    """The white-box attacks on a model, for `audit`."""
    from _whitebox import Sizes, attack_model  # here, so that an audit of CSV files needs no JAX

    sizes = Sizes(FLAGS.shadow_models, FLAGS.shadow_steps, FLAGS.noises)
    return partial(attack_model, model, reference, sizes)
