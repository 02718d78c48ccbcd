"""What the experiment scripts share: flags from the config dataclasses, data, the run folder."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from functools import wraps
from pathlib import Path

import _visits
import pandas as pd
from absl import app, flags

from synthdiff._files import (
    hold_folder,
    make_folder,
    parse_json,
    read_sealed,
    write_atomically,
)
from synthdiff._validate import InputError, input_error
from synthdiff.data import sources
from synthdiff.data.conform import conform
from synthdiff.data.doctor import format_findings, require_healthy
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.sdv import from_sdv, is_sdv
from synthdiff.data.split import split_frame
from synthdiff.data.table import read_table, write_json

FLAGS = flags.FLAGS
SYNTHETIC = ("synthetic.csv", "synthetic")  # of a run: a file, or a folder of shards
SPLIT = {"train": 0.6, "test": 0.2, "reference": 0.2}
DEFINE = {"int": flags.DEFINE_integer, "float": flags.DEFINE_float, "str": flags.DEFINE_string,
          "bool": flags.DEFINE_bool}  # fmt: skip


def run_script(stage: Callable[[Path], None], *define: Callable[[], None]) -> None:
    """Defines the flags and runs `stage(run_dir)`; a mistake of the user's ends in one line."""

    def main(argv: list[str]) -> None:
        try:
            if len(argv) > 1:
                raise input_error(argv[1], "is not a flag", "write --name=value")
            keep_programs(FLAGS.compilation_cache)
            stage(Path(FLAGS.run_dir))
        except InputError as error:
            raise SystemExit(f"error: {error}") from None

    flags.DEFINE_string("run_dir", "runs/quickstart", "folder of the run; repeat it to resume")
    about = "folder that keeps compiled programs for later runs; empty for none"
    flags.DEFINE_string("compilation_cache", find_cache(), about)
    for define_flags in define:
        define_flags()
    for module, defined in FLAGS.flags_by_module_dict().items():
        for flag in defined if "." not in module else ():  # not those of libraries
            FLAGS.register_key_flag_for_module(sys.argv[0], flag)  # so that --help lists it
    app.run(main)


def find_cache() -> str:
    """JAX's own setting where there is one, else a folder of this user and this machine.

    Of this machine, since a home may be shared by processors that differ in their instructions.
    Programs hold sizes and cardinalities, and no record.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    own = Path(home) / "synthdiff" / (platform.node() or "unnamed")
    return os.environ.get("JAX_COMPILATION_CACHE_DIR", str(own))


def keep_programs(folder: str) -> None:
    """Has JAX keep compiled programs in a folder, now or when it is imported; "" for none."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_compilation_cache_dir", folder)


def define_data_flags() -> None:
    """Which table, and what its columns are."""
    flags.DEFINE_string("data", "rand_hie", f"{', '.join(sources.DATASETS)}, or a CSV/Parquet file")
    flags.DEFINE_string("data_dir", None, "folder with the data sets; default $SYNTHDIFF_DATA")
    flags.DEFINE_string("schema", None, "schema.json or SDV metadata of your own table")
    flags.DEFINE_string("entity", None, "column that names the patient of a row (own table)")
    flags.DEFINE_string("target", None, "column that utility tests predict (own table)")
    flags.DEFINE_list("sensitive", [], "columns for subgroup reports (own table)")
    flags.DEFINE_list("code_sets", [], "columns of delimited codes, as name or name=delimiter")
    _visits.define_flags()
    flags.DEFINE_integer("split_seed", 0, "seed of the split into train, test and reference")


def define_config_flags(prefix: str, config: type) -> None:
    """One flag --prefix.field per field of a config dataclass, with the dataclass default."""
    for field in fields(config):
        about = describe_field(config, field.name)
        DEFINE[field.type](f"{prefix}.{field.name}", field.default, about)


def describe_field(config: type, name: str) -> str:
    """What the docstring of a config says of a field after "name: ", or else its first sentence."""
    text = " ".join((config.__doc__ or "").split())
    names = "|".join(field.name for field in fields(config))
    found = re.search(rf"\b{name}: (.*?)(?= (?:{names}): |$)", text)
    return found.group(1) if found else text.split(". ")[0].rstrip(".") + "."


def read_config(prefix: str, config: type):
    """The config dataclass that the flags describe."""
    return config(**{f.name: FLAGS[f"{prefix}.{f.name}"].value for f in fields(config)})


def describe_data() -> dict:
    """The data flags as a plain dict: with it, any stage finds the same rows again."""
    names = ("data", "data_dir", "schema", "entity", "target", "sensitive", "code_sets",
             "visits", "visit_group", "max_visits", "split_seed")  # fmt: skip
    return {name: FLAGS[name].value for name in names}


def load_table(spec: dict) -> tuple[pd.DataFrame, Schema]:
    """The table as it is, not yet examined, and its schema."""
    if spec["data"] in sources.DATASETS:
        df, schema = sources.load(spec["data"], data_dir=spec["data_dir"])
    elif Path(spec["data"]).exists():
        df = read_table(spec["data"])
        schema = find_schema(df, spec, Path(spec["data"]).stem)
    else:
        raise input_error(
            f"--data={spec['data']}",
            "is neither a known data set nor a file",
            f"use one of {', '.join(sources.DATASETS)}, or an existing CSV or Parquet file",
        )
    return df, _visits.name_roles(schema, spec)


def read_data(spec: dict) -> tuple[pd.DataFrame, Schema]:
    """The conformed table and its schema; prints the doctor's warnings, raises its errors."""
    df, schema = load_table(spec)
    warnings = require_healthy(df, schema)
    if warnings:
        print(format_findings(warnings))
    return conform(df, schema), schema


def find_schema(df: pd.DataFrame, spec: dict, table: str) -> Schema:
    """The schema of a user's table: --schema, ours or SDV's, or else inferred.

    table: its name in SDV metadata of several. The role flags speak where the file does not.
    """
    path = spec["schema"]
    pairs = [item.partition("=") for item in spec["code_sets"]]
    roles = {name: spec[name] for name in ("entity", "target", "sensitive")}
    roles["code_sets"] = {name: delimiter or ";" for name, _, delimiter in pairs}
    if not path:
        return infer_schema(df, **roles)
    data = Schema.read_json(path)
    if not is_sdv(data):
        return Schema.from_json(data)
    schema, left_out = from_sdv(data, df, table=table, **roles)
    for name, reason in left_out.items():
        print(f"WARNING column {name!r}: {reason}, so it is left out.")
    return schema


def split_table(df: pd.DataFrame, schema: Schema, seed: int) -> dict[str, pd.DataFrame]:
    """Train, test and reference tables with disjoint patients."""
    return split_frame(df, schema.entity, SPLIT, seed)


def read_stage(path: Path, stage: str) -> dict:
    """The JSON that a stage left and sealed, or an error that says to run the stage."""
    fix = f"run experiments/{stage}.py"
    return parse_json(path, read_sealed(path, fix), fix)


def read_extras(run_dir: Path) -> dict[str, dict | None]:
    """What pipeline.py left for the report beside the scores; None where it left none."""
    paths = {name: run_dir / f"{name}.json" for name in ("trajectory", "frontier")}
    return {n: read_stage(path, "pipeline") if path.exists() else None for n, path in paths.items()}


def locked(stage: Callable[..., None]) -> Callable[..., None]:
    """The stage, while no other process writes into the run folder."""

    @wraps(stage)
    def held(run_dir: Path, *rest: object) -> None:
        with hold_folder(run_dir) if run_dir.is_dir() else nullcontext():
            stage(run_dir, *rest)

    return held


def read_manifest(run_dir: Path) -> dict:
    """The run's manifest, or an error that says to train first."""
    return read_stage(run_dir / "manifest.json", "train")


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


def read_run(run_dir: Path) -> tuple[dict[str, pd.DataFrame], Schema]:
    """The tables that a finished run trained on and held out, with the synthetic one."""
    spec = read_manifest(run_dir)["data"]
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    found = [path for name in SYNTHETIC if (path := run_dir / name).exists()]
    if not found:
        raise input_error(str(run_dir), "no synthetic.csv", "run experiments/sample.py")
    if len(found) > 1:
        problem, fix = f"holds both {' and '.join(SYNTHETIC)}", "remove the one you do not mean"
        raise input_error(str(run_dir), problem, fix)
    if found[0].is_file():
        read_sealed(found[0], "run experiments/sample.py")
    return parts | {"synthetic": conform(read_table(found[0]), schema)}, schema
