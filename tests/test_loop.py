"""The training loop: divergence, resume, and SIGKILL in the middle of a run."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthdiff.train.loop import Preempted, TrainingDiverged, check_finite, fit
from synthdiff.train.metrics import read_metrics
from synthdiff.train.optim import TrainConfig
from synthdiff.train.state import create_state, update_ema

NAMES = ("age", "sex", "bmi")
PATIENCE = 240  # seconds before a subprocess is given up; far more than one needs

CHILD = """
import sys, time
import numpy as np, pandas as pd
import synthdiff
from synthdiff.config import Config, ModelConfig, TrainConfig
from synthdiff.train import loop

folder, hang_at = sys.argv[1], int(sys.argv[2])
append = loop.append_metrics

def append_then_hang(path, row):
    if row["step"] == hang_at:  # the earlier checkpoint may now land; no more steps are made
        time.sleep(3600)
    append(path, row)

loop.append_metrics = append_then_hang
rng = np.random.default_rng(0)
table = pd.DataFrame({"age": rng.normal(50.0, 9.0, 60), "sick": rng.random(60) < 0.4})
config = Config(
    ModelConfig("mlp", width=4, hidden=8),
    train=TrainConfig(num_steps=24, batch_size=8, steps_per_call=4, checkpoint_every=8),
)
synthdiff.fit(table, config=config, folder=folder, progress=False)
"""


def run_steps(state, rows):
    """A stand-in for the network: each row pulls the weights towards itself."""
    losses = []
    for batch in rows:
        params = {"w": state.params["w"] + 0.1 * (batch.mean() - state.params["w"])}
        ema_params = update_ema(state.ema_params, params, 0.9, state.step)
        state = state.replace(step=state.step + 1, params=params, ema_params=ema_params)
        losses.append(float(params["w"][0]))
    count = len(rows)
    metrics = {"loss": np.array(losses), "grad_norm": np.ones(count)}
    return state, metrics | {"per_part": np.ones((count, 3))}


def rows_of(first_step, count):
    return np.arange(first_step, first_step + count)[:, None] + np.arange(4)


def start():
    return create_state({"w": jnp.zeros(2)}, optax.sgd(0.1))


def train(num_steps, folder=None, run=run_steps, progress=False):
    config = TrainConfig(num_steps=num_steps, steps_per_call=4, checkpoint_every=8)
    return fit(start(), run, rows_of, config, NAMES, folder=folder, progress=progress)


def test_the_devices_have_work_whenever_the_host_draws_or_waits():
    """The numbers of a dispatch are awaited once the next has begun, or where the run ends."""
    events = []

    class Pending:
        def __init__(self, value):
            self.value = value

        def __array__(self, dtype=None, copy=None):
            events.append("wait")
            return self.value

    def run(state, rows):
        events.append(f"run {len(rows)}")
        state, metrics = run_steps(state, rows)
        return state, metrics | {"loss": Pending(metrics["loss"])}

    def draw(first_step, count):
        events.append(f"draw {first_step}")
        return rows_of(first_step, count)

    fit(start(), run, draw, TrainConfig(num_steps=10, steps_per_call=4), NAMES, progress=False)
    begun = ["draw 0", "run 4", "draw 4", "run 4", "draw 8"]
    assert events == [*begun, "wait", "run 2", "wait", "wait"]


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def diverging(state, rows):
    """NaN in the terms of `sex` from global step 6 on."""
    first = int(state.step)
    state, metrics = run_steps(state, rows)
    for i in range(len(rows)):
        if first + i >= 6:
            metrics["loss"][i] = metrics["per_part"][i, 1] = np.nan
    return state, metrics


def test_divergence_names_step_and_column(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"step 6; columns: sex\.") as caught:
        train(20, tmp_path, run=diverging)
    assert "age" not in str(caught.value) and "Fix:" in str(caught.value)
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [4]


def test_infinite_gradient_blames_the_largest_term():
    metrics = {"loss": np.ones(2), "grad_norm": np.array([1.0, np.inf])}
    metrics["per_part"] = np.array([[9.0, 0, 0], [1.0, 2.0, 5.0]])
    with pytest.raises(TrainingDiverged, match=r"step 11; columns: bmi \(largest term\)"):
        check_finite(10, metrics, NAMES)
    check_finite(10, metrics | {"grad_norm": np.ones(2)}, NAMES)


def test_progress_can_be_silenced(capfd):
    train(8)
    assert capfd.readouterr().err == ""
    train(8, progress=True)
    assert "8/8" in capfd.readouterr().err


def test_resume_equals_the_straight_run(tmp_path):
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    expected = train(22, straight)

    def killed(state, rows):
        if int(state.step) >= 12:
            raise KeyboardInterrupt
        return run_steps(state, rows)

    with pytest.raises(KeyboardInterrupt):
        train(22, cut, run=killed)
    begun = []

    def watched(state, rows):
        begun.append(int(state.step))
        return run_steps(state, rows)

    assert_equal(train(22, cut, run=watched), expected)
    assert begun == [8, 12, 16, 20]  # from the checkpoint, not from the start
    logs = [read_metrics(folder / "metrics.jsonl") for folder in (straight, cut)]
    steps, losses = ([[row[key] for row in log] for log in logs] for key in ("step", "loss"))
    assert steps[0] == steps[1] == [4, 8, 12, 16, 20, 22] and losses[0] == losses[1]
    assert_equal(train(22), expected)  # a folder changes nothing


@pytest.mark.parametrize("at", [0, 12])
def test_sigterm_saves_the_state_and_asks_to_be_started_again(tmp_path, at):
    before = signal.getsignal(signal.SIGTERM)

    def told_to_end(state, rows):
        if int(state.step) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return run_steps(state, rows)

    with pytest.raises(Preempted) as caught:
        train(22, tmp_path, run=told_to_end)
    assert isinstance(caught.value, SystemExit) and caught.value.code == 75
    assert signal.getsignal(signal.SIGTERM) is before
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["step"] == at + 4
    begun = []

    def watched(state, rows):
        begun.append(int(state.step))
        return run_steps(state, rows)

    assert_equal(train(22, tmp_path, run=watched), train(22))
    assert begun == list(range(at + 4, 22, 4))  # nothing was lost


def test_sigterm_in_the_last_steps_ends_the_run_as_usual(tmp_path):
    def told_to_end(state, rows):
        os.kill(os.getpid(), signal.SIGTERM)
        return run_steps(state, rows)

    assert_equal(train(4, tmp_path, run=told_to_end), train(4))


def test_a_finished_run_is_only_read(tmp_path):
    expected = train(8, tmp_path)
    assert_equal(train(8, tmp_path, run=diverging), expected)
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [4, 8]


def child(folder, cache, hang_at=-1):
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),  # compiles once for all children
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",  # jaxlib 0.8.2 warns of each cached program and fills the pipe
    }
    words = [sys.executable, "-c", CHILD, str(folder), str(hang_at)]
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE)


def finish(process):
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()[-2000:]


def kill_after_checkpoint(process, folder):
    """SIGKILL once the checkpoint of step 8 is whole and later steps are logged."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        logged = [row["step"] for row in read_metrics(folder / "metrics.jsonl")]
        if (folder / "checkpoints" / "8").is_dir() and 12 in logged:
            break
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[1].decode()[-2000:]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL


def test_kill_9_and_resume_ends_bit_equal(tmp_path):
    straight, killed, cache = (tmp_path / name for name in ("straight", "killed", "cache"))
    finish(child(straight, cache))
    kill_after_checkpoint(child(killed, cache, hang_at=16), killed)
    assert not (killed / "weights.msgpack").exists()
    before = (killed / "metrics.jsonl").read_text().splitlines()[:2]
    with open(killed / "metrics.jsonl", "a") as log:
        log.write('{"step": 16, "lo')  # a line cut by the kill
    finish(child(killed, cache))

    folders = (straight, killed)
    weights = [(folder / "weights.msgpack").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in folders]
    assert lines[1][:2] == before  # it went on from step 8, and did not start again
    logs = [[json.loads(line) for line in part] for part in lines]
    for key in ("step", "loss", "grad_norm"):
        assert [row[key] for row in logs[0]] == [row[key] for row in logs[1]]
    assert [row["step"] for row in logs[0]] == [4, 8, 12, 16, 20, 24]
