"""The record of an experiment: where it comes from, and where it goes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from _common import FLAGS
from absl import flags

from synthdiff._files import make_folder, write_atomically, write_json


def define_record_flag(default: str = "record.json") -> None:
    """default: the record's file in the run folder."""
    flags.DEFINE_string("record", None, f"record file; default {default} in the run folder")


def describe_origin(manifest: dict | None = None, *folders: str) -> dict:
    """What every record says of where it comes from: command, commit, device and versions.

    manifest: of the run that was measured; by default of this script. The command leaves out our
    own folders, --run_dir, --data_dir, --record, --compilation_cache and the `folders`, and who
    shared the work.
    """
    if manifest is None:
        from synthdiff.train.manifest import describe_run  # JAX, which not every script needs

        manifest = describe_run(config={}, data_hash=None, seeds={})
    ours = ("--run_dir", "--data_dir", "--record", "--compilation_cache", *folders)
    ours += ("--coordinator", "--num_processes", "--process_id")
    return {
        "command": shlex.join(
            [script_name(), *(w for w in sys.argv[1:] if not w.startswith(ours))]
        ),
        "commit": manifest["git_revision"],
        "device": "{count} x {kind}, {cores} cores".format(**manifest["device"]),
        "versions": manifest["versions"],
    }


def script_name() -> str:
    """experiments/repeat.py, wherever the script lies."""
    return f"experiments/{Path(sys.argv[0]).name}"


def locate_record(default: str | Path = "record.json") -> Path:
    """The file that --record names, or else `default`; its folder is made where there is none.

    Scripts that work for long call this first: a folder that cannot be made is known by then.
    """
    path = Path(FLAGS.record or default)
    make_folder(path.parent)
    return path


def write_record(default: Path, record: dict, text: str) -> None:
    """Writes a record to --record, or else `default`, and its text beside it, which it prints."""
    path = locate_record(default)
    write_json(path, record)
    write_atomically(path.with_suffix(".md"), text.encode())
    print(text)
