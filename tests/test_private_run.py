"""Private runs end to end: account, refusals, resume, and the same update on any device count."""

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from math import comb
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scripts import run_here
from test_private import SCHEMA, make_table

import synthdiff
from synthdiff import private_run
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.eval.model_card import FILES
from synthdiff.models.config import ModelConfig
from synthdiff.train.dp import DpConfig, draw_secret
from synthdiff.train.metrics import read_metrics
from synthdiff.train.optim import TrainConfig

has_extra = all(map(importlib.util.find_spec, ("jax_privacy", "dp_accounting")))
needs_extra = pytest.mark.skipif(
    not has_extra, reason="needs the extra dp: pip install 'synthdiff[dp]'"
)
TABLE = make_table(patients=150)
CONFIG = Config(
    ModelConfig("mlp", width=4, hidden=16),
    train=TrainConfig(num_steps=8, batch_size=20, steps_per_call=4, checkpoint_every=4),
    dp=DpConfig(epsilon=3.0, noise_multiplicity=2, max_rows_per_patient=2, tree_steps=5),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, coarse_accounts):
    folder = tmp_path_factory.mktemp("private")
    return synthdiff.fit(TABLE, SCHEMA, config=CONFIG, folder=folder, progress=False), folder


@needs_extra
def test_account_names_claim_mechanism_and_ledger(run):
    account = run[0].privacy
    assert 2.9 < account["epsilon"] <= 3.0 < account["epsilon_rdp"]
    assert account["delta"] == pytest.approx(1e-5, rel=1e-3)
    assert "patient" in account["adjacency"] and "Poisson" in account["sampler"]
    codec, training = account["ledger"]  # no tree, as a column is a code set
    assert codec["noise_multiplier"] > 0 and training["noise_multiplier"] > 0
    assert training["steps"] == 8 and training["sampling_rate"] == pytest.approx(20 / 150)
    assert account["public"]["patients"] == 150
    assert set(account["public"]["columns"]) == {c.name for c in SCHEMA.features}
    assert synthdiff.load(run[1]).privacy == json.loads(json.dumps(account))


@needs_extra
@pytest.mark.usefixtures("coarse_accounts")
@pytest.mark.parametrize("codec_share", [0.5, 0.7])  # with gradients and without
def test_a_tree_is_in_the_ledger_trains_the_network_and_is_the_same_after_a_kill(
    tmp_path, codec_share
):
    codes = [c.name for c in SCHEMA.columns if c.kind == "code_set"]
    table = TABLE.drop(columns=codes)
    columns = tuple(c for c in SCHEMA.columns if c.name not in codes)
    schema = replace(SCHEMA, columns=columns, target="sex" if codec_share < 0.7 else None)
    config = replace(CONFIG, dp=replace(CONFIG.dp, codec_share=codec_share))
    model = synthdiff.fit(table, schema, config=config, folder=tmp_path, progress=False)
    codec, scores, tables, *training = model.privacy["ledger"]
    count = model.codec.layout.num_categorical
    scored, measured = (count - 1, 2 * count - 3) if schema.target else (count, count - 1)
    assert (scores["pairs"], tables["pairs"]) == (comb(scored, 2), measured)
    assert scores["noise_multiplier"] == tables["noise_multiplier"] > codec["noise_multiplier"]
    assert 2.9 < model.privacy["epsilon"] <= 3.0
    assert [entry["steps"] for entry in training] == [8] * (codec_share < 0.7)
    assert ("sampler" in model.privacy) == (codec_share < 0.7)
    assert (tmp_path / "warm_up").exists() == (codec_share < 0.7)
    left = {path.name for path in tmp_path.iterdir() if not path.stat().st_mode & 0o077}
    owner = {name for name, (*_, whom) in FILES.items() if whom.startswith(("no", "never"))}
    assert left == owner & {path.name for path in tmp_path.iterdir()} and "dp_secret" in left
    shutil.rmtree(tmp_path / "checkpoints")  # as if killed before the first was written
    (tmp_path / "metrics.jsonl").unlink()
    again = synthdiff.fit(table, schema, config=config, folder=tmp_path, progress=False)
    leaves = [np.concatenate([np.ravel(x) for x in flatten(m.params)]) for m in (again, model)]
    np.testing.assert_array_equal(*leaves)


@needs_extra
def test_log_holds_no_loss_and_secret_is_not_readable(run):
    rows = read_metrics(run[1] / "metrics.jsonl")
    assert len(rows) == 2 and all(set(row) == {"step", "rate", "grad_norm"} for row in rows)
    secret = run[1] / "dp_secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    for path in run[1].glob("*.json"):
        assert secret.read_text() not in path.read_text()


@needs_extra
def test_samples_keep_to_the_public_schema(run):
    table = run[0].sample(200)
    assert table["cost"].between(0, 10_000).all() and table["sex"].isin(["F", "M", "X"]).all()


@needs_extra
def test_a_second_call_resumes_with_the_same_secret(run):
    again = synthdiff.fit(TABLE, SCHEMA, config=CONFIG, folder=run[1], progress=False)
    assert again.codec.to_json() == run[0].codec.to_json()
    leaves = [np.concatenate([np.ravel(x) for x in flatten(m.params)]) for m in (again, run[0])]
    np.testing.assert_array_equal(*leaves)


@pytest.mark.parametrize("devices, batch", [(1, 512), (3, 513), (6, 516), (8, 512)])
def test_drawn_batches_divide_over_the_devices(monkeypatch, devices, batch):
    found = []

    def fit(state, run_steps, rows_of, train, *rest, **loop):
        found.extend((train.batch_size, rows_of(0, 2).shape))
        return SimpleNamespace(ema_params="warm")

    monkeypatch.setattr("jax.device_count", lambda: devices)
    monkeypatch.setattr(private_run, "fit", fit)
    run = SimpleNamespace(
        tree=True,
        plan=SimpleNamespace(gradients=True),
        dp=CONFIG.dp,
        codec=SimpleNamespace(layout=SimpleNamespace(part_names=())),
        _draw=lambda: np.zeros(3),
    )
    warm_up = private_run.PrivateRun.warm_up
    assert warm_up(run, {"w": np.zeros(2)}, None, CONFIG.train, None) == "warm"
    assert found == [batch, (2, batch)]


def flatten(tree):
    return [leaf for v in tree.values() for leaf in (flatten(v) if isinstance(v, dict) else [v])]


def test_secrets_differ_and_are_kept(tmp_path):
    assert draw_secret(None) != draw_secret(None)
    path = tmp_path / "deep" / "secret"
    assert draw_secret(path) == draw_secret(path) < 2**128


def test_a_schema_read_from_data_is_refused():
    with pytest.raises(InputError, match=r"public schema(.|\n)*column 'age'(.|\n)*Fix"):
        synthdiff.fit(TABLE, config=CONFIG, progress=False)


@needs_extra
def test_no_file_and_no_size_tells_how_many_rows_the_patients_of_a_private_run_have(
    tmp_path, coarse_accounts
):
    """The number of patients is declared public, that of their rows is nobody's to know."""
    SCHEMA.save(tmp_path / "schema.json")
    flags = ["--model.name=mlp", "--model.width=4", "--model.hidden=16", "--sampler.num_steps=2",
             "--train.num_steps=4", "--train.batch_size=20", "--train.steps_per_call=4",
             "--dp.epsilon=3", "--dp.noise_multiplicity=1", "--dp.max_rows_per_patient=2",
             f"--schema={tmp_path / 'schema.json'}"]  # fmt: skip
    sizes = []
    for rows_each in (2, 3):
        run = tmp_path / f"run{rows_each}"
        path = tmp_path / f"{rows_each}.csv"
        make_table(150, rows_each).to_csv(path, index=False)
        for script, more in (("train.py", [f"--data={path}", *flags]), ("sample.py", [])):
            done = run_here(script, f"--run_dir={run}", *more)
            assert done.returncode == 0, done.stderr[-2000:]
        manifest = json.loads((run / "manifest.json").read_text())
        assert "rows" not in manifest and manifest["patients"]["train"] == 90
        sizes.append(len(pd.read_csv(run / "synthetic.csv")))
    assert sizes == [180, 180]


CHILD = """
import sys
import jax, jax.numpy as jnp, numpy as np, optax
from synthdiff.data.batches import fill_roster, make_roster
from synthdiff.layout import Records
from synthdiff.train.dp import DpConfig, GradientPlan, make_private_step
from synthdiff.train.optim import TrainConfig
from synthdiff.train import parallel
from synthdiff.train.state import create_state

assert len(jax.local_devices()) == int(sys.argv[2])
rng = np.random.default_rng(0)
owner = np.repeat(np.arange(30), 2)
parallel.WHOLE_BYTES = 0  # the table is cut
roster = make_roster(owner, 2)
values = fill_roster(rng.normal(size=(60, 3)).astype(np.float32), roster)
data = (Records(values, np.zeros((30, 2, 0), np.int8)), (roster >= 0).astype(np.int8))

def loss_fn(params, batch, keys, u):
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    return (jnp.tanh(batch.continuous @ params["w"]) - noise * u[:, None]) ** 2

plan = GradientPlan(1.5, 0.5, 0.3, 3, 30, 16)
dp = DpConfig(noise_multiplicity=2, max_rows_per_patient=2)
step = make_private_step(loss_fn, optax.sgd(1.0), TrainConfig(), dp, plan, 2**100 + 7)
patients = np.full((3, 16), -1, np.int32)
patients[:, :9] = rng.permuted(np.tile(np.arange(30), (3, 1)), axis=1)[:, :9]
state = create_state({"w": jnp.eye(3)}, optax.sgd(1.0))
state, metrics = parallel.make_parallel_train(step, data)(state, patients)
np.savez(sys.argv[1], w=state.params["w"], norm=metrics["grad_norm"])
"""


@needs_extra
def test_the_update_is_the_same_on_four_devices(tmp_path):
    """Each device sums its part; the noise comes once, not once per device."""
    found = []
    for count in (1, 4):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
        env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
        words = [sys.executable, "-c", CHILD, str(tmp_path / f"{count}.npz"), str(count)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(dict(np.load(tmp_path / f"{count}.npz")))
    for name in ("w", "norm"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5, atol=1e-6)
    assert np.abs(found[0]["w"] - np.eye(3)).max() > 0.05
