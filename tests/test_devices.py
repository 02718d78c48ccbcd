"""Four devices against one: the same examples, the same model, the same rows."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

CHILD = """
import sys
import jax, jax.numpy as jnp, numpy as np, pandas as pd
import synthdiff
from synthdiff._validate import InputError
from synthdiff.diffusion.losses import draw_noise
from synthdiff.layout import Layout
from synthdiff.config import Config, ModelConfig, SamplerConfig, TrainConfig
from synthdiff.train import parallel
from synthdiff.train.device_table import AXIS, take_rows
from synthdiff.train.step import draw_randomness

folder, count = sys.argv[1], int(sys.argv[2])
assert len(jax.local_devices()) == count
layout = Layout(("x", "k"), (0,), (1,), (3,), (-1,), (1,))

parallel.WHOLE_BYTES = 0  # so that four devices cut the table, of 22 records
rng = np.random.default_rng(0)
data = {"number": rng.normal(size=(22, 3)).astype(np.float32),
        "code": rng.integers(-120, 120, 22).astype(np.int8)}

def step(state, table, rows, position):
    # the randomness of every example, gathered from all devices in batch order
    keys, u = draw_randomness(0, state, position, 8)
    noise = jax.vmap(lambda key: draw_noise(key, layout, 0.5))(keys)
    found = {"u": u, "rows": rows, "keys": jax.random.key_data(keys)}
    found |= noise._asdict() | take_rows(table, rows)
    gathered = jax.tree.map(lambda x: jax.lax.all_gather(x, AXIS, tiled=True), found)
    held = jax.lax.pmax(len(table.columns["code"]), AXIS)
    return state + 1, gathered | {"held": held}

rows = rng.integers(-1, 22, (3, 8)).astype(np.int32)  # some twice, and -1 for none
rows[0] = [21, 0, -1, 5, 6, 11, 12, 21]
run = parallel.make_parallel_train(step, data)
_, drawn = run(jnp.int32(0), rows)
wanted = {name: values[rows] for name, values in data.items()}
for values in wanted.values():
    values[rows < 0] = 0

rng = np.random.default_rng(0)
table = pd.DataFrame({"age": rng.normal(50.0, 9.0, 60), "sick": rng.random(60) < 0.4})

train = TrainConfig(num_steps=6, batch_size=8, steps_per_call=6)
network, sampler = ModelConfig("mlp", width=4, hidden=8), SamplerConfig(num_steps=4)
config = Config(network, train=train, sampler=sampler)
model = synthdiff.fit(table, config=config, progress=False)
leaves = jax.tree_util.tree_leaves_with_path(model.params)
params = {"params" + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
model.sample(700).to_csv(f"{folder}/out.csv", index=False)  # more than one block
model.save(folder)
try:
    run(jnp.int32(0), rows[:, :6])
    message = ""
except InputError as error:
    message = str(error)
wanted = {f"wanted_{name}": value for name, value in wanted.items()}
np.savez(f"{folder}/out.npz", message=message, **params, **drawn, **wanted)
"""

SAMPLE_AGAIN = """
import sys
from pathlib import Path
import jax, numpy as np
import synthdiff
from synthdiff.data.shards import write_shards
assert len(jax.local_devices()) == int(sys.argv[2])
model = synthdiff.load(sys.argv[1])
shards = Path(sys.argv[1], f"shards{sys.argv[2]}")
shards.mkdir()
write_shards(shards, lambda first, count: model.sample(count, first=first), 700, 300, range(3))
model.sample(700).to_csv(f"{sys.argv[1]}/again.csv", index=False)
np.save(f"{sys.argv[1]}/places{sys.argv[2]}.npy", model.embed(model.sample(700)))
"""


def start(code, folder, count, *words):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    words = [sys.executable, "-c", code, str(folder), *map(str, words)]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{devices: (arrays, sampled table, folder)} of the same program on one and on four devices."""
    folders = {count: tmp_path_factory.mktemp(f"devices{count}") for count in (1, 4)}
    started = {count: start(CHILD, folder, count, count) for count, folder in folders.items()}
    for process in started.values():
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()[-2000:]
    return {
        count: (dict(np.load(folder / "out.npz")), pd.read_csv(folder / "out.csv"), folder)
        for count, folder in folders.items()
    }


def test_every_example_has_the_same_randomness(runs):
    one, four = runs[1][0], runs[4][0]
    for name in ("keys", "u", "rows", "eps", "filler", "uniform", "known"):
        assert one[name].shape[:2] == (3, 8)
        np.testing.assert_array_equal(one[name], four[name], err_msg=name)
    assert len(np.unique(one["keys"].reshape(24, -1), axis=0)) == 24  # and no two are alike


def test_a_table_that_is_cut_gives_the_same_rows(runs):
    """Four devices hold 6 of 22 records each; what they exchange is bit-equal to the whole."""
    one, four = runs[1][0], runs[4][0]
    assert (one["held"] == 22).all() and (four["held"] == 6).all()
    for name in ("number", "code"):
        for found in (one, four):
            assert found[name].dtype == found[f"wanted_{name}"].dtype
            np.testing.assert_array_equal(found[name], found[f"wanted_{name}"], err_msg=name)
    assert (four["number"][four["rows"] == -1] == 0).all() and (four["rows"] == -1).any()


def test_params_are_equal_up_to_rounding(runs):
    """Sums over devices round in another order; Adam may blow that up where gradients vanish."""
    one, four = runs[1][0], runs[4][0]
    names = [name for name in one if name.startswith("params")]
    assert len(names) > 10
    for name in names:
        np.testing.assert_allclose(one[name], four[name], atol=2e-5, err_msg=name)


def test_rows_are_equal(runs):
    """Trained apart, numbers agree up to the rounding above, categories almost always."""
    one, four = runs[1][1], runs[4][1]
    np.testing.assert_allclose(one["age"], four["age"], atol=0.05)
    assert (one["sick"] == four["sick"]).mean() > 0.99
    assert one["age"].std() > 1.0


def test_rows_and_shards_of_one_model_are_bit_equal(runs):
    """Each device runs the same program on a block of the same size, however many there are."""
    folder = runs[4][2]
    for count in (1, 3):
        process = start(SAMPLE_AGAIN, folder, count, count)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()[-2000:]
    one, three = (np.load(folder / f"places{count}.npy") for count in (1, 3))
    np.testing.assert_array_equal(one, three)
    assert one.shape[0] == 700 and len(np.unique(one, axis=0)) > 600
    texts = [(folder / name).read_text() for name in ("out.csv", "again.csv")]
    assert texts[0] == texts[1] and texts[0].count("\n") == 701
    shards = [sorted((folder / f"shards{count}").iterdir()) for count in (1, 3)]
    assert [path.name for path in shards[0]] == [path.name for path in shards[1]]
    written = [[path.read_bytes() for path in paths] for paths in shards]
    assert written[0] == written[1] and len(set(written[0])) == 3


def test_a_batch_that_does_not_divide_is_refused(runs):
    assert str(runs[1][0]["message"]) == ""
    message = str(runs[4][0]["message"])
    assert "batch_size 6" in message and "Fix: use a multiple of 4" in message
