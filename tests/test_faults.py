"""Kills, full disks, damaged files, two runs in one folder, odd clocks and hostile names."""

import ast
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from faults import FAULTS, Killed, disk_full

import synthdiff
from synthdiff._files import NOTICE, hold_folder, mark_private, seal, write_atomically, write_json
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.schema import Column, Schema
from synthdiff.data.table import write_table
from synthdiff.eval.features import hash_rows
from synthdiff.eval.protocol.resume import score_draws
from synthdiff.eval.release import write_release
from synthdiff.models.config import ModelConfig
from synthdiff.run_folder import MODEL_FILES
from synthdiff.train import loop
from synthdiff.train.checkpoint import Checkpoints
from synthdiff.train.dp import draw_secret
from synthdiff.train.metrics import append_metrics, drop_after, read_metrics
from synthdiff.train.optim import TrainConfig
from synthdiff.train.state import create_state

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "experiments"))
PATIENCE = 600  # seconds; far more than a subprocess needs
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"age": RNG.normal(50.0, 9.0, 60), "sick": RNG.random(60) < 0.4})
CONFIG = Config(
    ModelConfig("mlp", width=4, hidden=8),
    train=TrainConfig(num_steps=4, batch_size=8, steps_per_call=2, checkpoint_every=2),
)


# --- killed at every write point ---


def test_training_survives_a_kill_at_every_write_point(tmp_path):
    """Real SIGKILLs; then the same command ends as if nothing had been. Full disk too."""
    command = [sys.executable, Path(__file__).with_name("kill_training.py"), tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["tried"] >= 36 and found["struck"] >= found["tried"] - 3
    for file in ("config.json", "codec.json", "weights.msgpack", "SHA256SUMS", "metrics.jsonl"):
        assert any(f"/{file}" in point for point in found["points"]), file


SCHEMA = Schema(
    (Column("id", "entity"), Column("age", "continuous"), Column("name", "categorical"))
)
PARTS = ("train", "test", "reference", "synthetic")


def people(seed):
    rng = np.random.default_rng(seed)
    age = rng.normal(50, 9, 80).clip(*((30, 70) if seed < 3 else (35, 65)))
    ids = [f"MRN-{seed}{i:04d}" for i in range(80)]
    return pd.DataFrame({"id": ids, "age": age, "name": rng.choice(["a", "b"], 80)})


TABLES = {part: people(seed) for seed, part in enumerate(PARTS)}


def release(folder, tables=TABLES):
    """A release of an audit in which nothing was found; the gates are tested elsewhere."""
    audit = {"unit": "patient", "members": 80, "nonmembers": 80, "seed": 0, "strata": {}}
    audit["rows_sha256"] = {part: hash_rows(df, SCHEMA) for part, df in tables.items()}

    def write_page(path, shown):
        write_atomically(path, json.dumps(shown).encode())

    assert write_release(folder / "release", audit, tables, SCHEMA, {}, write_page) == []


def store_tables(folder, version):
    df = TABLE.assign(age=TABLE["age"] + version)
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        write_table(df, folder / name)
    write_json(folder / "private.json", {"version": version}, private=True)
    SCHEMA.edit("age", upper=100.0 + version).save(folder / "schema.json")
    seal(folder, "t.csv", "private.json")


def store_log(folder, version):
    log = folder / "metrics.jsonl"
    drop_after(log, 0)
    for step in (1, 2, 3):
        append_metrics(log, {"step": step, "loss": 0.5 + version})


def store_release(folder, version):
    synthetic = TABLES["synthetic"].assign(age=lambda df: df["age"] + version / 8)
    release(folder, TABLES | {"synthetic": synthetic})


def store_scores(folder, version):
    path = folder / "scores" / f"{version}.json"
    state = score_draws(path, {"v": version}, 3, lambda: float, lambda table: {"score": table})
    write_json(folder / "mean.json", [row["score"] for row in state["samples"]])


STAGES = {fn.__name__: fn for fn in (store_tables, store_log, store_release, store_scores)}


def contents(folder):
    """What is there for a reader; times aside."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".tmp"]
    found = {str(p.relative_to(folder)): p.read_bytes() for p in files}
    for name, content in found.items():
        if name.startswith("scores/"):
            found[name] = json.loads(content) | {"seconds": None}
    return found


@pytest.fixture
def passing(monkeypatch):
    """An audit whose gates all pass."""
    monkeypatch.setattr("synthdiff.eval.release.evaluate_policy", lambda audit: [])


@pytest.mark.parametrize("failure", [Killed, disk_full])
@pytest.mark.parametrize("stage", STAGES)
def test_files_are_old_or_new_at_every_write_point(stage, failure, tmp_path, passing):
    run = STAGES[stage]
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        run(folder, 0)
    with FAULTS.inject(new) as points:
        run(new, 1)
    before, after = contents(old), contents(new)
    assert len(points) >= 5 and before != after
    for at in range(1, len(points) + 1):
        folder = shutil.copytree(old, tmp_path / f"at{at}")
        with FAULTS.inject(folder, at, failure, torn=True):
            try:
                run(folder, 1)
            except InputError as error:  # nothing but the one about the disk
                assert failure is disk_full
                assert "No space left" in str(error) and "Fix" in str(error)
                assert str(folder) in str(error)
            except Killed:
                assert failure is Killed
        check_old_or_new(stage, contents(folder), before, after)
        run(folder, 1)
        assert contents(folder) == after, points[at - 1]


def check_old_or_new(stage, now, before, after):
    if stage == "store_log":  # a log grows: it is read, whatever its last line is
        return
    if stage == "store_release":
        public = {name: content for name, content in now.items() if name.startswith("release/")}
        assert public in ({}, before, after)
        return
    for name in set(now) & (set(before) | set(after)):
        if not name.startswith("scores/"):
            assert now[name] in (before.get(name), after.get(name)), name


def test_the_sweep_finds_a_writer_that_is_not_atomic(tmp_path):
    """Power: with plain `write_bytes` half a file is found."""
    path = tmp_path / "t.json"

    def write_plainly(version):
        path.write_bytes(bytes(100 + version))
        (tmp_path / "next").write_bytes(b"")

    write_plainly(0)
    with pytest.raises(Killed), FAULTS.inject(tmp_path, 2, torn=True):
        write_plainly(1)
    assert path.stat().st_size == 50


def test_the_log_survives_a_torn_line(tmp_path):
    log = tmp_path / "metrics.jsonl"
    append_metrics(log, {"step": 1, "loss": 0.5})
    with open(log, "ab") as file:
        file.write(b'{"step": 2, "lo\xff\n3\n{"loss": 1}\n')
    assert [row["step"] for row in read_metrics(log)] == [1]
    drop_after(log, 1)
    append_metrics(log, {"step": 2, "loss": 0.25})
    assert [row["step"] for row in read_metrics(log)] == [1, 2]


# --- damaged, cut and swapped files ---


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "run"
    return folder, synthdiff.fit(TABLE, config=CONFIG, folder=folder, progress=False)


def flip(path, other):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path, other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path, other):
    path.write_bytes((other / path.name).read_bytes())


def empty(path, other):
    path.write_bytes(b"")


def remove(path, other):
    path.unlink()


def make_folder_of(path, other):
    path.unlink()
    path.mkdir()


DAMAGES = (flip, cut, swap, empty, remove, make_folder_of)


@pytest.fixture(scope="module")
def other(model, tmp_path_factory):
    """Another run's folder: same columns, so that its weights have the same shapes."""
    folder = tmp_path_factory.mktemp("other")
    config = replace(CONFIG, train=replace(CONFIG.train, seed=7))
    shifted = jax.tree.map(lambda leaf: leaf + 1, model[1].params)
    codec = replace(model[1].codec, min_patients=6)
    replace(model[1], config=config, params=shifted, codec=codec).save(folder)
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_damaged_model_is_refused(model, other, tmp_path, name, damage):
    folder = shutil.copytree(model[0], tmp_path / "run")
    damage(folder / name, other)
    with pytest.raises(InputError, match=rf"(?s){name}.*Fix:"):
        synthdiff.load(folder)


@pytest.mark.parametrize("damage", [flip, cut, swap, empty, remove])
def test_damaged_hashes_are_no_pass(model, other, tmp_path, damage):
    folder = shutil.copytree(model[0], tmp_path / "run")
    damage(folder / "SHA256SUMS", other)
    with pytest.raises(InputError, match=r"(?s)(SHA256SUMS|json|msgpack).*Fix:"):
        synthdiff.load(folder)


def test_the_hashes_are_those_of_sha256sum(model, tmp_path):
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum")
    folder = shutil.copytree(model[0], tmp_path / "run")
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=folder).returncode == 0
    flip(folder / "codec.json", None)
    assert subprocess.run(check, cwd=folder, capture_output=True).returncode != 0


@pytest.mark.parametrize("name", ["manifest.json", "synthetic.csv", "audit.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_stages_hand_on_is_checked(tmp_path, name, damage):
    from _stages import read_stage

    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for place, value in ((folder, 1), (elsewhere, 2)):
        place.mkdir()
        write_json(place / "manifest.json", {"value": value})
        write_json(place / "audit.json", {"value": value})
        write_table(TABLE + value, place / "synthetic.csv")
        seal(place, "manifest.json", "audit.json", "synthetic.csv")
    assert read_stage(folder / "manifest.json", "train") == {"value": 1}
    damage(folder / name, elsewhere)
    with pytest.raises(InputError, match=rf"(?s){name}.*Fix: run experiments/train\.py"):
        read_stage(folder / name, "train")


@pytest.mark.parametrize("name", ["config.json", "codec.json"])
@pytest.mark.parametrize("damage", [flip, cut, empty])
def test_a_run_with_damaged_settings_is_not_resumed(model, tmp_path, name, damage):
    folder = shutil.copytree(model[0], tmp_path / "run")
    damage(folder / name, None)
    with pytest.raises(InputError, match=r"(?s)run.*Fix:"):
        synthdiff.fit(TABLE, config=CONFIG, folder=folder, progress=False)


def start_state():
    return create_state({"w": jnp.ones(3)}, optax.sgd(0.1))


def test_checkpoints_of_another_run_are_not_resumed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", run="one")
    checkpoints.save(start_state())
    checkpoints.close()
    for run in ("one", "two"):
        checkpoints = Checkpoints(tmp_path / "checkpoints", run=run)
        if run == "one":
            assert checkpoints.restore_latest(start_state()) is not None
        else:
            with pytest.warns(UserWarning, match="of another run"):
                assert checkpoints.restore_latest(start_state()) is None
        checkpoints.close()
    assert (tmp_path / "checkpoints_damaged" / "0").is_dir()


@pytest.mark.parametrize("content", [b"", b"12", b"\xff" * 32, b"0x" + b"1" * 30])
def test_a_damaged_secret_is_not_used(tmp_path, content):
    (tmp_path / "dp_secret").write_bytes(content)
    with pytest.raises(InputError, match=r"dp_secret.*Fix"):
        draw_secret(tmp_path / "dp_secret")


# --- folders that cannot be written, and two writers ---


@pytest.mark.parametrize("folder", ["file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_named_before_training(folder, tmp_path):
    """Of root too, for whom modes bind nothing."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"(?s)run: cannot be written.*Fix"):
        synthdiff.fit(TABLE, config=CONFIG, folder=tmp_path / folder, progress=False)
    with pytest.raises(InputError, match=r"(?s)t\.csv: cannot be written.*Fix"):
        write_table(TABLE, tmp_path / folder / "t.csv")


HOLDER = """
import sys, time
from synthdiff._files import hold_folder
with hold_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_has_one_writer_and_a_kill_frees_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"held\n"
        for _ in range(2):  # a failed try does not free it
            with pytest.raises(InputError, match=rf"in use by process {holder.pid} on .*Fix"):
                synthdiff.fit(TABLE, config=CONFIG, folder=tmp_path, progress=False)
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}
        holder.kill()
        holder.wait()
    with hold_folder(tmp_path):
        pass
    with hold_folder(tmp_path):  # and the end of the block frees it
        pass


# --- clocks ---


def test_no_clock_decides_anything(tmp_path, monkeypatch):
    """The wall clock jumps by years; a run and its resume end bit by bit the same."""

    def train(folder, config):
        def run_steps(state, rows):
            params = {"w": state.params["w"] + rows.sum()}
            state = state.replace(step=state.step + len(rows), params=params, ema_params=params)
            ones = np.ones(len(rows))
            return state, {"loss": ones, "grad_norm": ones, "per_part": ones[:, None]}

        rows_of = lambda first, count: np.arange(first, first + count)[:, None]  # noqa: E731
        return loop.fit(start_state(), run_steps, rows_of, config, ("x",), folder=folder,
                        progress=False)  # fmt: skip

    for name in ("steady", "odd"):
        (tmp_path / name).mkdir()
    steady = train(tmp_path / "steady", CONFIG.train)
    jumps, now = np.random.default_rng(0), time.time
    odd = None
    # Less and less, since a clock that jumps all the time lets no save of Orbax's ever end, and how
    # often it looks depends on the machine.
    for chance in (0.1, 0.1, 0.05, 0.02, 0.01, 0.0):
        share = [1.0 - chance, chance / 2, chance / 2]
        leap = partial(jumps.choice, [0, -4e8, 4e9], p=share)
        monkeypatch.setattr(time, "time", lambda leap=leap: now() + leap())
        try:
            odd = train(tmp_path / "odd", CONFIG.train)
            break
        except InputError as error:  # Orbax gives a save up after ten minutes of the wall clock
            assert "cannot be written" in str(error) and "the same command goes on" in str(error)
    np.testing.assert_array_equal(odd.params["w"], steady.params["w"])
    log = read_metrics(tmp_path / "odd" / "metrics.jsonl")
    assert [row["step"] for row in log] == [2, 4] and all(row["rate"] > 0 for row in log)


def called(source):
    """Dotted names of all that a source calls, with the names of true keyword arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keys = [k.arg for k in node.keywords if getattr(k.value, "value", False) is True]
            yield from (name, *(f"{name}({key})" for key in keys))


SOURCES = [p for part in ("synthdiff", "experiments") for p in sorted((ROOT / part).rglob("*.py"))]
RUNS_CODE = {"eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads",
             "marshal.loads", "yaml.load", "np.load(allow_pickle)", "pd.read_pickle", "os.system",
             "importlib.import_module"}  # fmt: skip


def test_loading_runs_no_code():
    """test_layering forbids the modules; this the calls."""
    for path in SOURCES:
        assert not RUNS_CODE & set(called(path.read_text())), path


def test_calls_that_run_code_are_seen():
    for line in ("eval(x)", "np.load(f, allow_pickle=True)", "importlib.import_module(name)"):
        assert RUNS_CODE & set(called(line))
    assert not RUNS_CODE & set(called("np.load(f, allow_pickle=False)\nre.compile(x)\nm.eval()"))


def test_the_wall_clock_is_only_read_to_be_written_down():
    for path in (p for p in SOURCES if p.is_relative_to(ROOT / "synthdiff")):
        clocks = {"time.time", "datetime.now", "datetime.utcnow"} & set(called(path.read_text()))
        assert not clocks or path.name == "manifest.py"


# --- files that hold real values, and hostile names ---


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_files_that_hold_real_values_are_for_their_owner(model, tmp_path):
    folder, _ = model
    for name in ("codec.json", "weights.msgpack"):
        assert mode(folder / name) == 0o600
    assert mode(folder / "checkpoints") == 0o700
    SCHEMA.save(tmp_path / "schema.json")
    draw_secret(tmp_path / "dp_secret")
    assert mode(tmp_path / "schema.json") == mode(tmp_path / "dp_secret") == 0o600
    notice = (folder / NOTICE).read_text()
    for name in ("codec.json", "weights.msgpack", "checkpoints", "audit.json", "dp_secret"):
        assert name in notice


def test_leftovers_of_killed_writers_are_removed_and_nobody_elses_file_is(tmp_path):
    left, held = (tmp_path / f"a.csv.{name}.tmp" for name in ("00c0ffee", "0badcafe"))
    others = [tmp_path / name for name in ("a.csv.mine.tmp", "a.csv.gz.00c0ffee.tmp", "b.tmp")]
    for path in (left, held, *others):
        path.write_text("x")
    with open(held, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as one that is still being written
        write_atomically(tmp_path / "a.csv", b"y")
    assert not left.exists() and held.exists() and all(path.exists() for path in others)
    write_atomically(tmp_path / "a.csv", b"y")
    assert not held.exists()


def test_a_notice_keeps_what_it_names(tmp_path):
    mark_private(
        tmp_path, "weights.msgpack", "codec.json", more="Only release/ is meant for others."
    )
    mark_private(tmp_path, "audit.json", "codec.json")
    text = " ".join((tmp_path / NOTICE).read_text().split())
    assert "away: weights.msgpack, codec.json, audit.json. They are" in text
    assert text.endswith("Only release/ is meant for others.")


def test_a_private_file_is_never_open_to_others(tmp_path):
    """Not for a moment: the mode is given when the file is made, also over an old open file."""
    path = tmp_path / "x.json"
    path.write_text("{}")
    with FAULTS.inject(tmp_path) as points:
        write_json(path, {"a": 1}, private=True)
    assert not any(point.startswith("os.chmod") for point in points) and mode(path) == 0o600


HOSTILE = (
    "../../evil",
    "/etc/evil",
    "..",
    "a/b",
    "~root",
    "C:\\evil",
    "%2e%2e%2f",
    "$(touch evil)",
)


def test_names_of_columns_lead_nowhere(tmp_path, model, passing):
    """Every file that is written while such a table is stored and released lies where it should."""
    df = TABLE.rename(columns={"age": "../../evil", "sick": "/etc/evil"})
    codec = model[1].codec
    columns = tuple(
        replace(c, name=n) for c, n in zip(codec.schema.columns, df.columns, strict=True)
    )
    coders = tuple(replace(c, name=n) for c, n in zip(codec.coders, df.columns, strict=True))
    renamed = replace(codec, schema=replace(codec.schema, columns=columns), coders=coders)
    with FAULTS.inject("/") as points:
        replace(model[1], codec=renamed).save(tmp_path / "run")
        table = synthdiff.load(tmp_path / "run").codec.schema
        hostile = {name: np.arange(40.0) for name in HOSTILE}
        for name in ("t.csv", "t.parquet"):
            write_table(pd.DataFrame(hostile), tmp_path / name)
        table.save(tmp_path / "schema.json")
        release(tmp_path)
    written = [point.split(" ", 1)[1] for point in points]
    assert len(written) > 20
    strays = [p for p in written if not f"/{p}".startswith(str(tmp_path)) and "/dev/" not in p]
    assert [p for p in strays if "__pycache__" not in p] == []


def test_the_record_of_kills_says_what_the_readme_says():
    record = json.loads((ROOT / "experiments" / "results" / "kills.json").read_text())
    total = {k: sum(row["kills"][k] for row in record["rows"]) for k in record["rows"][0]["kills"]}
    assert total == {"train": 100, "sample": 50, "evaluate": 50, "release": 50}
    assert not any(row["wrong"] for row in record["rows"])
    assert sum(row["struck"] for row in record["rows"]) > 200  # others came after the end
    assert "Of 250 kills at random" in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_scripts_survive_fifty_random_kills(tmp_path):
    """The scripts' stages, killed at any moment, not only where they write."""
    command = [sys.executable, Path(__file__).with_name("kill_scripts.py"), tmp_path]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'experiments'}"}
    environment |= {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == [] and sum(found["kills"].values()) == 50 and found["struck"] >= 30
