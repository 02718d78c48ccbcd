"""The speed benchmarks count and predict what can be worked out by hand."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import _sampling_times
import _tables
import _training_times
import benchmark_torch
from _cases import build_model, encode_cohort, make_training
from _cost import (
    Chip,
    Work,
    count_work,
    predict_efficiency,
    predict_step,
    sampling_efficiency,
)
from _profile import share_out
from _sampling_times import fit_steps, parse_sampler
from _scaling_times import add_efficiency, measure_scaling, time_draw
from _scores import mark_front
from _tables import take_means
from _timing import (
    count_flops,
    fit_slope,
    list_programs,
    make_evaluation,
    measure_calls,
    read_program_memory,
    share_of_dispatch,
    take_turns,
)
from _torch_arms import (
    draw_batches,
    draw_weights,
    import_torch,
    make_jax_steps,
    make_torch_steps,
)
from benchmark_shards import kill_and_resume, stream
from join_few_steps import SCORES, join

from synthdiff._validate import InputError
from synthdiff.config import Config, TrainConfig
from synthdiff.data.table import read_table
from synthdiff.diffusion.samplers import SAMPLERS, SamplerConfig
from synthdiff.models.config import ModelConfig, count_params

SCRIPTS = Path(__file__).parents[1] / "experiments"
PROGRAM = (ClosedJaxpr, Jaxpr)


def test_flops_of_a_product():
    a, b = jnp.zeros((3, 5)), jnp.zeros((5, 7))
    assert count_flops(jnp.dot, a, b) == 2 * 3 * 5 * 7


def test_a_loop_is_refused_because_its_body_counts_once():
    def chain(x, length):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=length)[0]

    x = jnp.zeros((64, 64))
    costs = [jax.jit(partial(chain, length=n)).lower(x).cost_analysis()["flops"] for n in (2, 50)]
    assert costs[0] == costs[1]  # should XLA learn to count, the refusal is not needed
    with pytest.raises(ValueError, match="loop"):
        count_flops(partial(chain, length=2), x)


@pytest.mark.parametrize("name", ["mlp", "unet"])
def test_flops_of_a_network_are_two_per_weight(name):
    """Each weight multiplies and adds once per record; the rest is element by element."""
    layout = encode_cohort(60)[1].layout
    evaluate, args = make_evaluation(Config(ModelConfig(name)), layout, batch=128)
    per_weight = count_flops(evaluate, *args) / 128 / count_params(args[0])
    assert 2.0 < per_weight < 2.3


def test_first_call_is_kept_apart():
    pauses = iter([0.2] + [0.01] * 5)
    found = measure_calls(lambda: time.sleep(next(pauses)), repeats=5)
    assert found["first_s"] >= 0.2 > found["p95_s"] >= found["p50_s"] >= 0.01


def test_memory_is_that_of_each_program_and_not_of_those_before():
    """Arguments, result and working memory: x and x @ x, then half the width."""

    def square(x):
        return jnp.sin(x) @ jnp.cos(x)

    found = []
    for width, donated in ((512, ()), (256, ()), (256, (0,))):
        x, before = jnp.ones((width, width)), list_programs()
        assert read_program_memory(before) is None
        program = jax.jit(square, donate_argnums=donated)  # kept: a lost one is not listed
        jax.block_until_ready(program(x))
        found.append(read_program_memory(before))
    size = 4 * 512**2
    assert 2 * size <= found[0] <= 4.1 * size
    assert found[1] == pytest.approx(found[0] / 4, rel=0.02)
    assert found[2] == pytest.approx(found[1] - size / 4, rel=0.02)  # the result in x's place


def test_slope_of_a_power_law():
    x = np.array([64, 256, 1024])
    assert fit_slope(x, 3.0 * x**2) == pytest.approx(2.0)
    assert fit_slope(x, 0.1 * x) == pytest.approx(1.0)
    assert fit_slope(x, [0.0, 0.1, 0.2]) is None  # memory that did not grow; NaN is no JSON


def test_share_of_a_dispatch_by_hand():
    steps = [1, 10, 50]
    facts = share_of_dispatch(steps, [0.04 + 0.02 / k for k in steps], 100)
    assert facts["seconds per dispatch, fitted"] == pytest.approx(0.02)
    share = facts["share of dispatch at 100 steps per call"]
    assert share == pytest.approx(0.0002 / 0.0402)
    assert share_of_dispatch([5, 5], [0.1, 0.2], 100) == {}


WORK = Work(flops=6e6, parameters=1000, reduced=4000.0)
CHIP = Chip(peak=1e9, reached=0.5, memory=1e6, link=1e6, latency=1e-3)


def test_cost_of_a_step_by_hand():
    step = predict_step(WORK, CHIP, records=100, chips=4)
    assert step["compute_s"] == pytest.approx(100 * 6e6 / 0.5e9)  # 1.2
    assert step["update_s"] == pytest.approx(0.04)  # 10 passes over 4000 bytes
    assert step["sent_mb"] == pytest.approx(0.006)  # 2 * 3/4 * 4000 bytes
    assert step["reduce_s"] == pytest.approx(0.006 + 0.006)  # and 2 * 3 hops
    assert step["step_s"] == pytest.approx(1.252)
    assert predict_step(WORK, CHIP, records=100, chips=1)["reduce_s"] == 0.0


def test_efficiency_by_hand():
    weak = predict_efficiency(WORK, CHIP, 100, 4, "weak")
    assert weak["efficiency"] == pytest.approx(1.24 / 1.252) and weak["batch"] == 400
    strong = predict_efficiency(WORK, CHIP, 100, 4, "strong")  # 25 records: 0.3 + 0.04 + 0.012
    assert strong["efficiency"] == pytest.approx(1.24 / (4 * 0.352)) and strong["batch"] == 100
    for scaling in ("weak", "strong"):
        assert predict_efficiency(WORK, CHIP, 100, 1, scaling)["efficiency"] == pytest.approx(1.0)


def test_sampling_loses_the_padding_only():
    assert sampling_efficiency(1000, 1, block=512) == pytest.approx(1000 / 1024)
    assert sampling_efficiency(1000, 4, block=512) == pytest.approx(1000 / 2048)
    assert sampling_efficiency(2048, 4, block=512) == 1.0


def reduced_bytes(jaxpr):
    """Bytes that the program sums over devices, loops included once."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name.startswith("psum"):
            total += sum(v.aval.size * v.aval.dtype.itemsize for v in eqn.invars)
        inner = jax.tree.leaves(eqn.params, is_leaf=lambda x: isinstance(x, PROGRAM))
        total += sum(reduced_bytes(program) for program in inner if isinstance(program, PROGRAM))
    return total


@pytest.mark.parametrize("name", ["mlp", "unet"])
def test_reduced_bytes_are_those_of_the_program(name):
    data, codec = encode_cohort(6)
    model = ModelConfig(name, width=4, hidden=8, max_width=8)
    config = Config(model, train=TrainConfig(batch_size=8, num_steps=4))
    run, state = make_training(config, data, codec.layout)
    rows = np.zeros((2, 8), np.int32)
    program = jax.make_jaxpr(lambda state: run(state, rows))(state)
    assert count_work(config, codec.layout).reduced == reduced_bytes(program.jaxpr) > 0


def test_kernels_of_a_profile_share_its_time():
    events = [("gemm_128<bf16>", 0.0, 4e6), ("fusion_1", 4e6, 1e6), ("fusion_2.3", 6e6, 2e6)]
    rows = {row["kernel"]: row for row in share_out(events)}
    assert rows["gemm"]["share"] == pytest.approx(0.5) and rows["gemm"]["ms"] == 4.0
    assert rows["fusion"]["calls"] == 2 and rows["fusion"]["share"] == pytest.approx(3 / 8)
    assert rows["idle"]["share"] == pytest.approx(1 / 8) and rows["others"]["calls"] == 0
    many = share_out([(chr(97 + i), float(i), 1.0) for i in range(20)])
    assert many[-2]["calls"] == 8 and sum(row["share"] for row in many) == pytest.approx(1.0)
    assert share_out([]) == []


def test_costs_are_counted_wherever_the_program_runs():
    x = jax.ShapeDtypeStruct((8, 8), "f")
    assert count_flops(jnp.dot, x, x) == 2 * 8**3


def test_without_a_cpu_nothing_is_timed_before_the_error(monkeypatch):
    def no_cpu(backend=None):
        raise RuntimeError("Unknown backend cpu")

    def time_it(*_):
        raise AssertionError("timed first")

    for module in (_sampling_times, _training_times):
        monkeypatch.setattr(module, "measure_calls", time_it)
    monkeypatch.setattr(_sampling_times, "compile_program", time_it)
    config = Config(ModelConfig("mlp", width=4, hidden=8))
    model = build_model(encode_cohort(1)[1], config)
    monkeypatch.setattr("jax.local_devices", no_cpu)
    with pytest.raises(InputError, match=r"JAX_PLATFORMS.*Fix: .*cuda,cpu"):
        _sampling_times.time_program(model, SamplerConfig(num_steps=2), 512, {}, 1)
    with pytest.raises(InputError, match=r"JAX_PLATFORMS.*Fix: .*cuda,cpu"):
        _training_times.time_training(1, 2, config, {}, 1, [])


def test_efficiency_of_measured_devices():
    rows = [{"devices": 1, "records_per_s": 10.0}, {"devices": 4, "records_per_s": 20.0}]
    assert [row["efficiency"] for row in add_efficiency(rows, shared=False)] == [1.0, 0.5]
    assert [row["efficiency"] for row in add_efficiency(rows, shared=True)] == [1.0, 2.0]


def test_scaling_is_measured_once_per_devices_and_records():
    asked = []

    def measure(devices, records):
        asked.append((len(devices), records))
        return 2.0 * records

    rows = measure_scaling(measure, {"weak": lambda n: 8 * n, "strong": lambda n: 8}, [1])
    assert [row["scaling"] for row in rows] == ["weak", "strong"] and asked == [(1, 8)]
    assert rows[0]["records_per_s"] == 0.5 and rows[0]["efficiency"] == 1.0


def test_two_blocks_are_drawn_in_more_time_than_one():
    model = build_model(encode_cohort(1)[1], Config(ModelConfig("mlp", width=4, hidden=8)))
    draw = partial(time_draw, model, SamplerConfig(num_steps=2), 512, 3, jax.local_devices()[:1])
    assert draw(20 * 512) > 2 * draw(512) > 0


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("nfe", [4, 8, 64])
def test_a_sampler_gets_the_most_steps_within_nfe(name, nfe):
    sampler = fit_steps(name, nfe)
    assert sampler.nfe <= nfe < SamplerConfig(name, sampler.num_steps + 1).nfe


def test_too_few_evaluations_are_refused():
    with pytest.raises(InputError, match="give 1 or more"):
        fit_steps("heun", 0)


def test_the_front_holds_what_nothing_beats():
    pairs = [(100.0, 0.9), (50.0, 0.6), (40.0, 0.7), (10.0, 0.6), (5.0, 0.55)]
    rows = [{"records_per_s": speed, "detection_auc": auc} for speed, auc in pairs]
    assert [row["front"] for row in mark_front(rows)] == ["yes", "yes", "", "", "yes"]


def test_runs_that_differ_in_seed_alone_are_joined():
    def record(*values):
        rows = [{"sampler": "ddim", "nfe": 4} | dict.fromkeys(SCORES, v) for v in values]
        return {"tables": {"scores": rows}}

    one, eight = Config(), Config(model=ModelConfig(components=8))
    student = replace(eight, teacher="yes")
    runs = [(one, record(1.0)), (eight, record(7.0)), (one, record(3.0)), (student, record(2.0))]
    rows = join(runs)
    assert [(row["model"], row["runs"]) for row in rows] == [
        ("1 guess", 2),
        ("8 guesses", 1),
        ("student, 8 guesses", 1),
    ]
    assert rows[0]["trend"]["mean"] == 2.0 and rows[0]["trend"]["values"] == [1.0, 3.0]
    assert rows[0]["trend"]["std"] == pytest.approx(2**0.5) and rows[1]["trend"]["std"] is None
    # as fast as they are easy to tell: nobody beats another
    assert [row["front"] for row in rows] == ["yes"] * 3
    slow = record(3.0)
    slow["tables"]["scores"][0] |= {"records_per_s": 1.0}
    assert [row["front"] for row in join([(one, record(2.0)), (eight, slow)])] == ["yes", ""]


def test_the_committed_few_steps_mark_their_front():
    text = (SCRIPTS / "results" / "few_steps.json").read_text()
    rows = json.loads(text)["tables"]["scores"]
    assert [row["front"] for row in rows] == [row["front"] for row in mark_front(take_means(rows))]
    assert {"", "yes"} == {row["front"] for row in rows}


def test_a_streamed_table_is_noted_by_shards(tmp_path):
    config = Config(ModelConfig("mlp", width=4, hidden=8), sampler=SamplerConfig(num_steps=2))
    rows = stream(tmp_path / "t", config, num_rows=950, shard_rows=100)
    assert [row["shards"] for row in rows] == [1, 2, 5, 8, 10]
    assert [row["rows"] for row in rows] == [100, 200, 500, 800, 950]
    assert len(read_table(tmp_path / "t")) == 950 and all(row["peak_mb"] > 10 for row in rows)


def test_a_second_process_that_fails_is_noticed(tmp_path):
    config = Config(ModelConfig("mlp", width=4, hidden=8), sampler=SamplerConfig(num_steps=2))
    with pytest.raises(InputError, match="num_rows > 0"):
        kill_and_resume(tmp_path / "t", config, 0)


def test_samplers_are_name_and_steps():
    assert parse_sampler("heun:8") == SamplerConfig("heun", 8)
    for text in ("heun", "heun:x", "euler:8"):
        with pytest.raises(InputError):
            parse_sampler(text)


def test_absent_torch_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="pip install torch"):
        import_torch()


def test_both_dispatches_train_alike():
    weights, batches = draw_weights(5, 8, 2), draw_batches(6, 4, 5)
    one, six = (float(make_jax_steps(weights, batches, k)()) for k in (1, 6))
    assert one == pytest.approx(six, rel=1e-4)
    before = float(make_jax_steps(weights, batches[-1:], 1)())
    assert abs(before / one - 1) > 1e-3  # the steps do count


def test_turns_go_forwards_and_backwards():
    order = []
    calls = [lambda j=j: order.append(j) or len(order) for j in range(3)]
    found = take_turns(calls, rounds=2)
    assert order == [2, 1, 0, 0, 1, 2, 2, 1, 0]
    assert found.tolist() == [[4, 5, 6], [9, 8, 7]]


def test_arms_beside_torch_have_their_range(monkeypatch):
    """Our own steps stand in for those of PyTorch, which need not be installed."""
    flags = SimpleNamespace(width=5, hidden=8, depth=1, steps=4, repeats=3)
    monkeypatch.setattr(benchmark_torch, "FLAGS", flags)
    monkeypatch.setattr(
        benchmark_torch, "make_torch_steps", lambda _, *args: make_jax_steps(*args, 1)
    )
    rows = benchmark_torch.compare(None, 6)
    assert rows[0]["arm"] == "torch eager" and len(rows) == 3
    assert rows[0]["times_torch"] == {"value": 1.0, "lower": 1.0, "upper": 1.0}
    times = rows[2]["times_torch"]
    assert 0 < times["lower"] <= times["value"] <= times["upper"] and rows[2]["steps_per_s"] > 0


def test_torch_trains_alike():
    torch = pytest.importorskip("torch")
    weights, batches = draw_weights(5, 8, 2), draw_batches(6, 4, 5)
    ours = float(make_jax_steps(weights, batches, 6)())
    assert make_torch_steps(torch, weights, batches)() == pytest.approx(ours, rel=1e-3)


def test_tables_in_markdown():
    rows = [{"a": 1, "b": 0.123456, "c": None}]
    assert _tables.format_table(rows) == ["| a | b | c |", "| --- | --- | --- |",
                                          "| 1 | 0.1235 | not given |"]  # fmt: skip


def run(script, *flags):
    command = [sys.executable, str(SCRIPTS / script), *map(str, flags)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


SMALL = ["--model.name=mlp", "--model.width=4", "--model.hidden=8", "--repeats=2", "--columns=8"]


def test_sampling_record(tmp_path):
    run("benchmark_sampling.py", f"--run_dir={tmp_path}", *SMALL, "--samplers=ddim:3",
        "--blocks=512", "--rows=20")  # fmt: skip
    record = json.loads((tmp_path / "sampling.json").read_text())
    row = record["tables"]["blocks"][0]
    assert row["nfe"] == 3 and row["columns"] == 11
    assert row["records_per_s"] == pytest.approx(512 / row["p50_s"])
    assert 0 < row["share_of_peak"] < 1 and row["compile_s"] > row["p50_s"]
    assert row["device_mb"] > row["program_mb"] > 0
    assert (tmp_path / "sampling.png").exists() and "## rows" in (
        tmp_path / "sampling.md"
    ).read_text()


def test_training_record(tmp_path):
    run("benchmark_training.py", f"--run_dir={tmp_path}", *SMALL, "--steps_per_call=1,2",
        "--train.batch_size=32", "--batches=32,512")  # fmt: skip
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["share of dispatch at 100 steps per call"] < 1
    row = record["tables"]["dispatch"][1]
    assert row["steps_per_s"] == pytest.approx(row["records_per_s"] / 32)
    assert 0 < row["share_of_peak"] < 1 and row["compile_s"] > 0
    assert 0 < row["share_of_bandwidth"] < 2 and record["bandwidth"] > 1e8
    small, large = record["tables"]["batches"]
    assert small == row and large["batch"] == 512
    assert 1.0 < large["device_gb"] / small["device_gb"] < 16


@pytest.mark.slow
def test_scaling_record(tmp_path):
    run("benchmark_scaling.py", f"--run_dir={tmp_path}", *SMALL, "--devices=1,2", "--steps=1",
        "--train.batch_size=16", "--nfe=2")  # fmt: skip
    tables = json.loads((tmp_path / "scaling.json").read_text())["tables"]
    sizes = {name: [row["batch"] for row in rows] for name, rows in tables.items()}
    assert sizes == {"devices": [16, 32, 16, 16], "sampling": [512, 1024, 1024, 1024]}
    for rows in tables.values():
        assert [row["devices"] for row in rows] == [1, 2, 1, 2] and rows[0]["efficiency"] == 1
        assert all(
            row["batch"] == pytest.approx(row["records_per_s"] * row["step_s"]) for row in rows
        )


CACHE_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from _common import keep_programs
if sys.argv[3] == "before":
    import jax
keep_programs(sys.argv[2])
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(1.0)
"""


@pytest.mark.parametrize("imported", ["before", "after"])
def test_programs_are_kept_where_told(tmp_path, imported):
    for folder, kept in ((str(tmp_path / "cache"), True), ("", False)):
        words = [sys.executable, "-c", CACHE_CHILD, str(SCRIPTS), folder, imported]
        subprocess.run(words, check=True, cwd=tmp_path)
        assert bool(list(Path(folder or tmp_path / "none").rglob("*cache*"))) == kept
        assert not list(tmp_path.glob("*-cache"))


def test_the_package_is_imported_fast_and_without_jax():
    code = (
        "import sys, time; started = time.perf_counter(); import synthdiff; "
        "seconds, heavy = time.perf_counter() - started, {'jax', 'flax', 'pandas', 'numpy'}; "
        "print(seconds, *heavy & set(sys.modules))"
    )
    words = [subprocess.check_output([sys.executable, "-c", code], text=True).split() for _ in "ab"]
    assert all(len(found) == 1 for found in words)
    assert min(float(found[0]) for found in words) < 0.3
