"""Checkpoints survive damage; the log survives a cut line."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthdiff.train.checkpoint import Checkpoints, hash_tree
from synthdiff.train.metrics import append_metrics, drop_after, read_metrics
from synthdiff.train.optim import OPTIMIZERS, TrainConfig, make_optimizer
from synthdiff.train.state import create_state
from synthdiff.train.step import advance


def state_at(step):
    rng = np.random.default_rng(step)
    weights = jnp.asarray(rng.normal(size=(64, 64)), jnp.float32)
    params = {"a": {"w": weights}, "b": jnp.ones(3), "empty": jnp.zeros((0, 4))}
    state = create_state(params, optax.adam(1e-3))
    return state.replace(step=jnp.int32(step), ema_params=jax.tree.map(lambda x: x + 1, params))


def write(folder, steps):
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(state_at(step))
    checkpoints.close()


def restore(folder):
    checkpoints = Checkpoints(folder)
    found = checkpoints.restore_latest(state_at(0))
    checkpoints.close()
    return found


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def array_files(folder, step):
    """The files that hold the arrays, largest first."""
    found = [p for p in (Path(folder) / str(step) / "state").rglob("*") if p.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def overwrite(folder, step):
    path = array_files(folder, step)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(bytes(content))


def truncate(folder, step):
    path = array_files(folder, step)[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def delete(folder, step):
    array_files(folder, step)[0].unlink()


def empty_all(folder, step):
    for path in (Path(folder) / str(step)).rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


DAMAGE = (overwrite, truncate, delete, empty_all)


def test_round_trip_is_bit_equal(tmp_path):
    write(tmp_path, [7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(restore(tmp_path), state_at(7))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_every_optimizer_comes_back(tmp_path, optimizer):
    params = {"layer": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}}
    config = TrainConfig(optimizer=optimizer)
    tx = make_optimizer(config)
    state = advance(create_state(params, tx), params, tx, config)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state)
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)
    assert_equal(checkpoints.restore_latest(create_state(params, tx)), state)
    checkpoints.close()


def test_no_checkpoint_is_none(tmp_path):
    assert restore(tmp_path) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from Orbax
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_falls_back_to_the_one_before(tmp_path, damage):
    write(tmp_path, [5, 9])
    damage(tmp_path, 9)
    with pytest.warns(UserWarning, match="step 9 is damaged"):
        found = restore(tmp_path)
    assert_equal(found, state_at(5))


def test_a_damaged_step_can_be_written_again(tmp_path):
    write(tmp_path, [5, 9])
    truncate(tmp_path, 9)
    with pytest.warns(UserWarning, match="step 9"):
        restore(tmp_path)
    assert (tmp_path.with_name(f"{tmp_path.name}_damaged") / "9").is_dir()  # nothing is lost
    write(tmp_path, [9])
    assert_equal(restore(tmp_path), state_at(9))


def test_all_damaged_is_none_with_a_warning_each(tmp_path):
    write(tmp_path, [5, 9])
    delete(tmp_path, 5)
    overwrite(tmp_path, 9)
    with pytest.warns(UserWarning) as caught:
        assert restore(tmp_path) is None
    text = " ".join(str(warning.message) for warning in caught)
    assert "step 5" in text and "step 9" in text


def test_half_written_folder_is_ignored(tmp_path):
    write(tmp_path, [5])
    half = tmp_path / "9.orbax-checkpoint-tmp-123" / "state"
    half.mkdir(parents=True)
    (half / "manifest.ocdbt").write_bytes(b"cut")
    assert_equal(restore(tmp_path), state_at(5))


def test_keeps_the_two_newest(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.isdigit()) == ["3", "4"]


@pytest.mark.parametrize(
    "other",
    [{"a": np.zeros(3)}, {"b": np.ones(3)}, {"a": np.ones(3, np.float32)}, {"a": np.ones((3, 1))}],
)
def test_hash_sees_values_names_dtypes_and_shapes(other):
    assert hash_tree({"a": np.ones(3)}) == hash_tree({"a": np.ones(3)}) != hash_tree(other)


def test_metrics_survive_a_cut_line(tmp_path):
    log = tmp_path / "metrics.jsonl"
    assert read_metrics(log) == []
    for step in (10, 20, 30):
        append_metrics(log, {"step": step, "loss": 0.5})
    with open(log, "a") as file:
        file.write('{"step": 40, "lo')
    assert [row["step"] for row in read_metrics(log)] == [10, 20, 30]
    drop_after(log, 20)
    append_metrics(log, {"step": 30, "loss": 0.25})
    assert [row["step"] for row in read_metrics(log)] == [10, 20, 30]
    assert read_metrics(log)[-1]["loss"] == 0.25
    assert not list(tmp_path.glob("*.tmp"))
