"""The console command: `synthdiff train --run_dir=...` runs `experiments/train.py` as a script."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import synthdiff

HERE = Path(__file__).parent
FOLDERS = (HERE / "experiments", HERE.parent / "experiments")  # in a wheel, in a checkout
STAGES = (
    "doctor",
    "pipeline",
    "train",
    "sample",
    "evaluate",
    "audit",
    "report",
    "release",
    "split",
    "judge",
)


def find_scripts() -> dict[str, Path]:
    """Every script by its command, the stages of the product first."""
    folder = next(folder for folder in FOLDERS if folder.is_dir())
    names = sorted(path.stem for path in folder.glob("[!_]*.py") if "__main__" in path.read_text())
    order = (*STAGES, *(name for name in names if name not in STAGES))
    return {name: folder / f"{name}.py" for name in order}


def _summarise(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]


def describe_commands(scripts: dict[str, Path]) -> str:
    """The help text: one line per command, from the first line of its script."""
    lines = ["Usage: synthdiff COMMAND [--flag=value ...]", "", _summarise(synthdiff.__doc__)]
    for title, is_stage in (("Stages", True), ("Experiments", False)):
        lines += ["", f"{title}:"]
        for name, path in scripts.items():
            if (name in STAGES) == is_stage:
                about = _summarise(ast.get_docstring(ast.parse(path.read_text())))
                lines.append(f"  {name:<20} {about}")
    return "\n".join([*lines, "", "synthdiff COMMAND --help explains a command and its flags."])


def main() -> None:
    """Runs the script that the first argument names, with the other arguments."""
    scripts, (command, *flags) = find_scripts(), sys.argv[1:] or ["--help"]
    if command in ("--help", "-h", "help"):
        print(describe_commands(scripts))
    elif command == "--version":
        print(synthdiff.__version__)
    elif command not in scripts:
        raise SystemExit(f"error: {command!r} is not a command. Fix: see synthdiff --help.")
    else:
        script = str(scripts[command])
        sys.argv = [script, *flags]
        sys.path.insert(0, str(scripts[command].parent))  # as Python does for a script
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
