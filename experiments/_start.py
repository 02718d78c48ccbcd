"""--start: another run whose codec and weights training begins with."""

from pathlib import Path

from _common import FLAGS, read_manifest
from absl import flags

from synthdiff._validate import input_error
from synthdiff.synthesizer import Synthesizer, load


def define_start_flag() -> None:
    flags.DEFINE_string("start", None, "run folder of a model of a like table, to begin with")


def read_start(spec: dict, *, private: bool) -> tuple[Synthesizer | None, dict | None]:
    """The model of --start and what the manifest says of it; of the same table, one split.

    A private run may not begin at a model of its own patients: that one knows them without noise.
    """
    if not FLAGS.start:
        return None, None
    folder = Path(FLAGS.start)
    model, manifest = load(folder), read_manifest(folder)
    theirs = manifest["data"]
    if private and theirs["data"] == spec["data"]:
        problem = "has learnt from this table, which a private run may see through noise alone"
        raise input_error(f"--start={folder}", problem, "begin at a model of other patients")
    if theirs["data"] == spec["data"] and theirs["split_seed"] != spec["split_seed"]:
        problem = "was trained on another split of this table, so on patients held out here"
        fix = f"use --split_seed={theirs['split_seed']}"
        raise input_error(f"--start={folder}", problem, fix)
    about = {
        "dataset": manifest["dataset"],
        "patients": manifest["patients"]["train"],
        "differential_privacy": bool(model.privacy),
    }
    if before := manifest.get("start"):  # that run had begun at another too
        about["dataset"] += f" and {before['dataset']}"
        about["patients"] += before["patients"]
        about["differential_privacy"] &= before["differential_privacy"]
    return model, about
