"""Kills a training run at every write point; a process of its own, so that the kills are real.

    python tests/kill_training.py FOLDER

Each attempt is a fork made before JAX has started, so none pays for the imports. A stand-in for the
network makes the steps; codec, checkpoints, log, model and hashes are written by the real code.
Prints one JSON object: the write points, how many kills struck, and what went wrong.
"""

import json
import os
import re
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint  # noqa: F401  (before the fork)
import pandas as pd
from faults import FAULTS

from synthdiff import synthesizer
from synthdiff._files import read_sealed
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.models.config import ModelConfig
from synthdiff.train import loop
from synthdiff.train.metrics import read_metrics
from synthdiff.train.optim import TrainConfig
from synthdiff.train.state import create_state

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"age": RNG.normal(50.0, 9.0, 60), "sick": RNG.random(60) < 0.4})
STEPS = TrainConfig(num_steps=4, batch_size=8, steps_per_call=2, checkpoint_every=2)
CONFIG = Config(ModelConfig("mlp"), train=STEPS)
KEPT = ("config.json", "codec.json", "weights.msgpack", "SHA256SUMS", "PRIVATE.txt")
SIZE = 3


def loop_stand_in(codec, source, patients, config, folder, progress, start):
    """The real loop; each row moves the weights by a number of its own."""
    start = jnp.asarray(np.random.default_rng(1).normal(size=SIZE), jnp.float32)
    state = create_state({"w": start}, optax.sgd(0.1))

    def run_steps(state, rows):
        count = len(rows)
        params = {"w": jnp.asarray(np.array(state.params["w"]) * 1.5 + rows.sum(), jnp.float32)}
        step = jnp.int32(int(state.step) + count)
        values = dict.fromkeys(("loss", "grad_norm"), np.ones(count, np.float32))
        state = state.replace(step=step, params=params, ema_params=params)
        return state, values | {"per_part": np.ones((count, 1))}

    def rows_of(first, count):
        return np.arange(first, first + count)[:, None]

    options = {"folder": folder, "progress": False}
    state = loop.fit(state, run_steps, rows_of, config.train, ("x",), **options)
    return jax.tree.map(np.asarray, state.ema_params)


def die(path):
    os.kill(os.getpid(), signal.SIGKILL)


def attempt(folder, at=0, limit=None):
    """Fits in a child process, killed at a write point or short of disk; (signal, exit status)."""
    told = folder.with_suffix(".txt")
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with FAULTS.inject(folder, at, die, torn=True) as points:
                synthesizer.fit(TABLE, config=CONFIG, folder=folder, progress=False)
            told.write_text(json.dumps(points))
        except InputError as error:
            told.write_text(str(error))
            status = 3
        except BaseException:
            told.write_text(traceback.format_exc())
            status = 4
        os._exit(status)
    _, code = os.waitpid(pid, 0)
    return os.WTERMSIG(code), os.WEXITSTATUS(code)


def look(folder):
    """Everything that a finished run must have the same, however often it was stopped."""
    found = {name: (folder / name).read_bytes() for name in KEPT}
    log = read_metrics(folder / "metrics.jsonl")
    found["log"] = [{k: v for k, v in row.items() if k != "rate"} for row in log]
    found["steps"] = sorted(path.name for path in (folder / "checkpoints").iterdir())
    return found


def trusts_half(folder, whole):
    """Whether a model that is not the finished one would be read without a word."""
    try:
        return any(read_sealed(folder / k, "wait") != whole[k] for k in KEPT[:3])
    except InputError:
        return False


def short_of_disk(root):
    """A disk that has room for the settings, not for a state; then it has room again."""
    global SIZE
    SIZE = 100_000
    wrong = []
    attempt(root / "large")
    if attempt(root / "full", limit=30_000) != (0, 3):
        wrong.append("full disk: no InputError")
    said = (root / "full.txt").read_text()
    if not ("cannot be written" in said and "checkpoints" in said and "Fix" in said):
        wrong.append(f"full disk: {said}")
    if attempt(root / "full") != (0, 0) or look(root / "full") != look(root / "large"):
        wrong.append("full disk: not resumed")
    return wrong


def main(root):
    synthesizer._run_loop = loop_stand_in
    assert attempt(root / "whole") == (0, 0), (root / "whole.txt").read_text()
    points, whole = json.loads((root / "whole.txt").read_text()), look(root / "whole")
    # The two checkpoints are written in the same way: one of them is enough.
    names = [re.sub(r"/[24]\.", "/N.", point) for point in points]
    places = [i + 1 for i, name in enumerate(names) if "/N." not in name or name not in names[:i]]
    wrong, struck = [], 0
    for at in places:
        folder = root / f"at{at}"
        killed, _ = attempt(folder, at)
        struck += killed == signal.SIGKILL
        if trusts_half(folder, whole):
            wrong.append(f"{at} {points[at - 1]}: half a model is trusted")
        if attempt(folder) != (0, 0):
            wrong.append(f"{at} {points[at - 1]}: {folder.with_suffix('.txt').read_text()}")
        elif look(folder) != whole:
            wrong.append(f"{at} {points[at - 1]}: ends otherwise")
        shutil.rmtree(folder)
    wrong += short_of_disk(root)
    print(json.dumps({"points": points, "tried": len(places), "struck": struck, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
