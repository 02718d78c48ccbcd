"""What every script shares: how it starts and ends, and flags from the config dataclasses."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from absl import app, flags

from synthdiff._validate import InputError, input_error

FLAGS = flags.FLAGS
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


def parse_choices(text: str) -> tuple[str, list[str]]:
    """The flag of "flag=value,value,..." and its values; one without a value has an empty one."""
    name, _, values = text.partition("=")
    return name, values.split(",")


def define_numbers(name: str, default: str, about: str, kind: type = int) -> None:
    """A flag of numbers between commas, kept as text; anything else is refused at once."""
    flags.DEFINE_list(name, default, about)
    words = "whole numbers" if kind is int else "numbers"

    def are_numbers(texts: list[str] | None) -> bool:
        try:
            return all(kind(text) >= 0 for text in texts or [])
        except ValueError:
            return False

    flags.register_validator(name, are_numbers, f"write {words} between commas, as in 0,1,2")


def read_range(flag: str) -> range:
    """The whole numbers of --flag=first:last, the last left out."""
    text = FLAGS[flag].value
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise input_error(f"--{flag}={text}", "names no range", "write first:last, as in 100:120")
    return range(int(first), int(last))


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
