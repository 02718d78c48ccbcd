"""The folder of a run: which settings it began with, and which of its files are private."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from synthdiff._files import SEAL, hold_folder, make_folder, mark_private, read_json, write_json
from synthdiff._validate import InputError, input_error
from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.data.visit_records import PLAN
from synthdiff.data.visits import VisitPlan
from synthdiff.train.processes import ask_first

VERSION = 3
MODEL_FILES = ("config.json", "codec.json", "weights.msgpack")
PRIVATE = ("codec.json", "schema.json", "manifest.json", "visits.json", "weights.msgpack",
           "checkpoints", "warm_up", "metrics.jsonl", "trajectory.json", "evaluation.json",
           "audit.json", "frontier.json", "DATASHEET.md", "refusal.json", "dp_secret",
           SEAL)  # fmt: skip
_MORE = (
    "Only release/ is meant for others. The synthetic table is not cleared before "
    "experiments/release.py has passed it."
)


@contextmanager
def hold_run(folder: str | Path | None) -> Iterator[Path | None]:
    """The run folder, made and held by the first process for all; None where none is named."""
    with ExitStack() as held:
        if folder is None:
            yield None
            return
        place = Path(folder)
        yield Path(ask_first(lambda: str(held.enter_context(hold_folder(make_folder(place))))))


def claim(folder: Path, settings: dict[str, dict]) -> None:
    """Begins the run in its folder, or checks that what is there began with the same settings."""
    begun = folder / "config.json"
    if begun.exists():
        fix = "restore the file, or remove the folder and train again"
        for name, content in json.loads(json.dumps(settings)).items():
            if not (folder / name).exists():
                raise input_error(str(folder), f"no {name}", fix)
            if read_json(folder / name, fix) != content:
                raise InputError(
                    f"{folder}: holds a run with another table or settings. "
                    "Fix: name an empty folder, or repeat the same flags to resume."
                )
    mark_private(folder, *PRIVATE, more=_MORE)
    write_settings(folder, settings)


def describe_settings(config: Config, codec: Codec, visits: VisitPlan | None) -> dict[str, dict]:
    """The files that say what a run is of."""
    plan = {PLAN: visits.to_json()} if visits else {}
    config_file = {"version": VERSION, **config.to_json()}
    return {"config.json": config_file, "codec.json": codec.to_json(), **plan}


def write_settings(folder: Path, settings: dict[str, dict]) -> None:
    """The config last: where it is, the others are too."""
    for name, content in reversed(settings.items()):
        write_json(folder / name, content, private=name != "config.json")
