"""Two processes of two devices against one of four: the same batches, weights and rows."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import synthdiff
from synthdiff.data.table import read_table
from synthdiff.train.metrics import read_metrics
from synthdiff.train.step import draw_randomness

SCRIPTS = Path(__file__).parents[1] / "experiments"
PATIENCE = 240  # seconds before a subprocess is given up; far more than one needs
TINY = ["--model.name=mlp", "--model.hidden=8", "--model.depth=1", "--model.width=4",
        "--train.num_steps=24", "--train.batch_size=16", "--train.steps_per_call=4",
        "--train.checkpoint_every=8", "--sampler.num_steps=3"]  # fmt: skip

# The script as it is, but for one process that stops at the step or shard named, in the middle, or
# is told to end at minus the step; then saving takes long, and leaves a file when it is over.
SCRIPT = """
import functools, os, pathlib, runpy, signal, sys, time
import jax
from synthdiff.data import shards
from synthdiff.train import loop

script, hang_at = sys.argv[1], int(sys.argv[2])
sys.argv = sys.argv[1:2] + sys.argv[3:]
any_process, steps = loop.any_process, []

def any_process_or_hang(flag):
    steps.append(4)
    if sum(steps) == hang_at:
        time.sleep(3600)
    if sum(steps) == -hang_at:
        os.kill(os.getpid(), signal.SIGTERM)
    return any_process(flag)

close = loop.Checkpoints.close

def close_late(checkpoints):
    time.sleep(3)
    close(checkpoints)
    run_dir = next(word for word in sys.argv if word.startswith("--run_dir="))
    pathlib.Path(run_dir.partition("=")[2], "closed").touch()

if hang_at < -1:
    loop.Checkpoints.close = close_late

write_table, tables = shards.write_table, []

def write_or_hang(table, path):
    tables.append(path)
    if len(tables) == hang_at:
        time.sleep(3600)
    write_table(table, path)

loop.any_process = any_process_or_hang
shards.write_table = write_or_hang
shards.PATIENCE_S = 1.0
# A lost process is noticed after 100 seconds by default, which is long for a test.
wait = {"heartbeat_timeout_seconds": 10}
jax.distributed.initialize = functools.partial(jax.distributed.initialize, **wait)
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script, run_name="__main__")
"""

# A script of one process that has joined and does something else than train.
IDLE = """
import sys, time

folder, address = sys.argv.pop(1), sys.argv.pop(1)
sys.path.insert(0, folder)
from _cluster import define_cluster_flags, join_processes
from _common import FLAGS

define_cluster_flags()
FLAGS(["idle", f"--coordinator={address}", "--num_processes=1", "--process_id=0"])
join_processes()
print("joined", flush=True)
time.sleep(60)
"""

# What the processes tell each other, and who gets which example.
TALK = """
import sys
import jax, jax.numpy as jnp, numpy as np
from synthdiff._validate import InputError
from synthdiff.train import parallel
from synthdiff.train.device_table import AXIS, take_rows
from synthdiff.train.parallel import make_parallel_map, make_parallel_train, to_devices
from synthdiff.train.processes import any_process, ask_first, require_same, share_first
from synthdiff.train.step import draw_randomness

folder, address, me = sys.argv[1], sys.argv[2], int(sys.argv[3])
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, 2, me)

def step(state, table, rows, position):
    keys, u = draw_randomness(0, state, position, 8)
    found = {"u": u, "rows": rows, "keys": jax.random.key_data(keys)}
    found["data"] = take_rows(table, rows)
    gathered = jax.tree.map(lambda x: jax.lax.all_gather(x, AXIS, tiled=True), found)
    return state + 1, gathered

def fail():
    raise OSError("the disk is full")

rows = np.arange(24, dtype=np.int32).reshape(3, 8)
data = np.arange(24, dtype=np.float32) + 0.5
_, drawn = make_parallel_train(step, data)(jnp.int32(0), rows)
parallel.WHOLE_BYTES = 0
_, parted = make_parallel_train(step, data)(jnp.int32(0), rows)
np.testing.assert_array_equal(parted["data"], drawn["data"])
bits = to_devices(jnp.array([-0.0, 1.0, jnp.nan]) * (1 + me))
tree = {"w": bits, "n": jnp.int32(me), "0": jnp.ones(0)}
shared = share_first(tree)
assert shared["w"].sharding == tree["w"].sharding
answer = ask_first(lambda: {"who": me, "big": 2**100})
flags = any_process(False), any_process(me == 1)
messages = []
for attempt in (lambda: ask_first(fail), lambda: require_same("the table", np.arange(3) + me)):
    try:
        attempt()
    except (InputError, OSError) as error:
        messages.append(f"{type(error).__name__} {error}")
require_same("the table", np.arange(3))
own = make_parallel_map(lambda shift, x, index: x + shift)(1.0, np.arange(5.0) + me, 0, 5, 2)
np.savez(f"{folder}/talk{me}.npz", answer=str(answer), flags=flags, messages=messages,
         own=own, **{f"shared_{k}": np.asarray(v) for k, v in shared.items()}, **drawn)
"""


def find_address():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def start(devices, *words, cache=None):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    if cache:  # compiles once for all that are alike
        env |= {"JAX_COMPILATION_CACHE_DIR": str(cache),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}  # fmt: skip
    launched = str(words[0]).endswith(".sh")
    program = ["bash"] if launched else [sys.executable, "-c"]
    env |= {"PYTHON": sys.executable} if launched else {}
    words = [*program, *map(str, words)]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*processes):
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors.decode()[-2000:]
    return [output.decode() for output, _ in outputs]


def start_pair(script, *flags, hang=(-1, -1), cache=None):
    """The script in two processes of two devices."""
    cluster = [f"--coordinator={find_address()}", "--num_processes=2"]
    words = [SCRIPT, SCRIPTS / script]
    return [
        start(2, *words, hang[i], *flags, *cluster, f"--process_id={i}", cache=cache)
        for i in range(2)
    ]


def kill_second_of(processes, ready):
    """SIGKILL to process 1 once it is time; the exit code of process 0, which ends by itself."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if ready():
            break
        time.sleep(0.05)
    assert processes[0].poll() is None, processes[0].communicate()[1].decode()[-2000:]
    os.kill(processes[1].pid, signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=PATIENCE)
    assert processes[1].returncode == -signal.SIGKILL
    return processes[0].returncode


def has_saved(run_dir):
    """Whether the checkpoint of step 8 is whole."""
    logged = [row["step"] for row in read_metrics(run_dir / "metrics.jsonl")]
    return (run_dir / "checkpoints" / "8").is_dir() and 12 in logged


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder with runs one (1 x 4), two (2 x 2) and killed (2 x 2, ended in the middle)."""
    folder = tmp_path_factory.mktemp("processes")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(50.0, 9.0, 120), "sick": rng.random(120) < 0.4})
    table.to_csv(folder / "table.csv", index=False)
    cache = folder / "cache"
    flags = {
        name: [f"--data={folder / 'table.csv'}", f"--run_dir={folder / name}", *TINY]
        for name in ("one", "two", "killed")
    }
    one = start(4, SCRIPT, SCRIPTS / "train.py", -1, *flags["one"])
    port = find_address().rpartition(":")[2]
    launcher = SCRIPTS.parent / "launch" / "local.sh"  # two processes of two devices
    finish(one, start(2, launcher, f"--port={port}", "train", *flags["two"], cache=cache))
    pair = start_pair("train.py", *flags["killed"], hang=(-1, 16), cache=cache)
    assert kill_second_of(pair, lambda: has_saved(folder / "killed")) != 0
    return folder, flags, cache


def with_run_dir(flags, run_dir):
    return [f"--run_dir={run_dir}" if flag.startswith("--run_dir") else flag for flag in flags]


def read_weights(run_dir):
    leaves = jax.tree_util.tree_leaves_with_path(synthdiff.load(run_dir).params)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_close(one, other):
    """Sums over devices round in another order; Adam may blow that up where gradients vanish."""
    assert len(one) > 10 and one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=2e-5, err_msg=name)


def test_processes_agree_and_share_the_examples(tmp_path):
    address = find_address()
    finish(*[start(2, TALK, tmp_path, address, i) for i in range(2)])
    first, second = (dict(np.load(tmp_path / f"talk{i}.npz")) for i in range(2))
    for name in ("u", "rows", "keys", "data"):
        np.testing.assert_array_equal(first[name], second[name])
    rows = np.arange(24).reshape(3, 8)
    np.testing.assert_array_equal(first["rows"], rows)
    np.testing.assert_array_equal(first["data"], rows + 0.5)
    for number in range(3):  # as one device draws them
        keys, u = draw_randomness(0, jnp.int32(number), jnp.arange(8), 8)
        np.testing.assert_array_equal(first["keys"][number], jax.random.key_data(keys))
        np.testing.assert_array_equal(first["u"][number], u)
    for found in (first, second):
        assert found["shared_w"].tobytes() == np.array([-0.0, 1.0, np.nan], np.float32).tobytes()
        assert found["shared_n"] == 0 and found["shared_0"].shape == (0,)
        assert str(found["answer"]) == str({"who": 0, "big": 2**100})
        assert found["flags"].tolist() == [False, True]
        assert "differs between the processes" in found["messages"][1]
    assert first["messages"][0] == "OSError the disk is full"
    assert second["messages"][0] == "InputError the disk is full"
    np.testing.assert_array_equal(first["own"], np.arange(5) + 1)
    np.testing.assert_array_equal(second["own"], np.arange(5) + 2)


def test_sigterm_ends_a_process_that_does_not_train():
    process = start(1, IDLE, SCRIPTS, find_address())
    assert process.stdout.readline() == b"joined\n", process.communicate()[1].decode()[-2000:]
    process.terminate()
    try:
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_is_told_to_end_ends_both_once_the_state_is_saved(runs, tmp_path):
    _, flags, cache = runs
    told = with_run_dir(flags["two"], tmp_path / "told")
    first, second = start_pair("train.py", *told, hang=(-100, -12), cache=cache)
    errors = second.communicate(timeout=PATIENCE)[1]
    saved = (tmp_path / "told" / "closed").exists()  # when the second is gone
    first.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (75, 75), errors.decode()[-2000:]
    assert saved and (tmp_path / "told" / "checkpoints" / "16").is_dir()


def test_two_processes_train_the_model_of_one(runs):
    folder, _, _ = runs
    assert_close(read_weights(folder / "one"), read_weights(folder / "two"))
    logs = [read_metrics(folder / name / "metrics.jsonl") for name in ("one", "two")]
    losses = [[row["loss"] for row in log] for log in logs]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert sorted(p.name for p in (folder / "one").iterdir()) == sorted(
        p.name for p in (folder / "two").iterdir()
    )


def test_kill_9_of_one_process_and_resume_ends_bit_equal(runs):
    folder, flags, cache = runs
    resumed = shutil.copytree(folder / "killed", folder / "resumed")
    assert not (resumed / "weights.msgpack").exists()
    before = (resumed / "metrics.jsonl").read_text().splitlines()[:2]
    finish(*start_pair("train.py", *with_run_dir(flags["killed"], resumed), cache=cache))
    weights = [(folder / name / "weights.msgpack").read_bytes() for name in ("two", "resumed")]
    assert weights[0] == weights[1]
    lines = (resumed / "metrics.jsonl").read_text().splitlines()
    assert lines[:2] == before and len(lines) == 6  # it went on, and did not start again


def test_a_checkpoint_goes_on_with_another_number_of_devices(runs):
    folder, flags, _ = runs
    alone = shutil.copytree(folder / "killed", folder / "alone")
    before = (alone / "metrics.jsonl").read_text().splitlines()[:2]
    finish(start(1, SCRIPT, SCRIPTS / "train.py", -1, *with_run_dir(flags["killed"], alone)))
    lines = (alone / "metrics.jsonl").read_text().splitlines()
    assert lines[:2] == before and len(lines) == 6
    assert_close(read_weights(alone), read_weights(folder / "two"))


def test_two_processes_write_the_shards_of_one_table(runs):
    folder, _, cache = runs
    flags = [f"--run_dir={folder / 'two'}", "--num_rows=1300", "--shard_rows=300"]
    out = folder / "shared"
    outputs = finish(*start_pair("sample.py", *flags, f"--out={out}", cache=cache))
    assert "3 of 5" in outputs[0] and "2 of 5" in outputs[1]
    whole = synthdiff.load(folder / "two").sample(1300)
    pd.testing.assert_frame_equal(read_table(out), whole)


def test_one_process_writes_the_shards_of_one_that_is_killed(runs):
    """The second is killed before its second shard; the first waits a while and writes it."""
    folder, _, cache = runs
    run_dir, shard = folder / "two", folder / "two/synthetic/part-00001-of-00005.parquet"
    flags = [f"--run_dir={run_dir}", "--num_rows=1300", "--shard_rows=300"]
    pair = start_pair("sample.py", *flags, hang=(-1, 2), cache=cache)
    assert kill_second_of(pair, shard.exists) == 0
    pd.testing.assert_frame_equal(
        read_table(run_dir / "synthetic"), synthdiff.load(run_dir).sample(1300)
    )


def test_a_pipeline_of_two_processes_is_ended_by_the_first(runs):
    folder, flags, cache = runs
    run_dir = folder / "pipeline"
    shards = ["--num_rows=90", "--shard_rows=30"]
    pair = start_pair("pipeline.py", *with_run_dir(flags["two"], run_dir), *shards, cache=cache)
    first, second = finish(*pair)
    stages = [[line for line in text.splitlines() if line[:3] == "== "] for text in (first, second)]
    assert [line[3:] for line in stages[0]] == [
        *("train", "sample", "trace", "evaluate", "audit", "report")
    ]
    assert stages[1] == stages[0][:2] and (run_dir / "report.html").exists()
    assert "2 of 3" in first and "1 of 3" in second
    assert_close(read_weights(run_dir), read_weights(folder / "two"))


def test_the_first_of_two_processes_evaluates_and_the_second_ends(runs):
    folder, _, cache = runs
    csv = [f"--{part}_csv={folder / 'table.csv'}" for part in ("train", "test", "synthetic")]
    first, second = finish(
        *start_pair("evaluate.py", *csv, f"--run_dir={folder / 'scores'}", cache=cache)
    )
    assert "fidelity rate" in first and not second
