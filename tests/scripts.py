"""A script of experiments/ as a user runs it: in a process of its own, or sooner in this one."""

import io
import os
import runpy
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from absl import app, flags

FOLDER = Path(__file__).parents[1] / "experiments"


def run_apart(script, *words):
    """In a process of its own: what it imports and draws cannot lean on this one."""
    command = [sys.executable, str(FOLDER / script), *map(str, words)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def run_here(script, *words):
    """In this process, which has imported and compiled already; ends as `run_apart` does."""
    app.define_help_flags()  # once in a process, so they must outlive the script
    flags_before, path = set(flags.FLAGS), str(FOLDER / script)
    command, out, err, code = [path, *map(str, words)], io.StringIO(), io.StringIO(), 0
    places = [str(Path(path).parent), *sys.path]
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", command),
        patch.object(sys, "path", places),
        patch.dict(os.environ),
    ):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            print(end.code if isinstance(end.code, str) else "", file=err)
        except Exception:
            code = 1
            traceback.print_exc()
        finally:
            flags.FLAGS.unparse_flags()
            for name in set(flags.FLAGS) - flags_before:
                delattr(flags.FLAGS, name)
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())
