"""The networks beside which we time ourselves have the published sizes, and the record says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "experiments"
RESULTS = SCRIPTS / "results"
sys.path.insert(0, str(SCRIPTS))

import _peer_arms  # noqa: E402
import join_speed  # noqa: E402

ADULT = 6, (9, 16, 7, 15, 6, 5, 2, 42, 2)  # numbers, and categories with the target
ERRORS = ("shape_error", "trend_error")
RECORDS = ("peers.json", "gpu_peers.json")


def count_perceptron(width, embedding, sizes):
    """Weights and biases by hand: in, two of the time, the hidden layers, out."""
    layers = [(width, embedding), (embedding, embedding), (embedding, embedding)]
    layers += [*zip((embedding, *sizes[:-1]), sizes, strict=True), (sizes[-1], width)]
    return sum((a + 1) * b for a, b in layers)


def test_networks_have_the_published_sizes():
    pytest.importorskip("torch")
    from _peer_networks import PEERS

    found = {peer.name: sum(p.numel() for p in peer.make(*ADULT).parameters()) for peer in PEERS}
    assert found == {
        "TabDDPM, tuned, T = 100": count_perceptron(110, 128, (256, *[1024] * 4, 256)),
        "TabDDPM, T = 1000": count_perceptron(110, 1024, (1024, 2048, 2048, 1024)),
        "TabSyn": count_perceptron(60, 1024, (2048, 2048, 1024)),
        "TabDiff": pytest.approx(10.62e6, rel=1e-3),  # as its public code counts on Adult
    }


def test_every_network_predicts_all_that_it_was_given():
    torch = pytest.importorskip("torch")
    from _peer_networks import PEERS

    for peer in PEERS:
        network = peer.make(*ADULT).eval()
        inputs = network.draw_inputs(5)
        with torch.inference_mode():
            out = network(*inputs)
            moved = network(*inputs[:-1], inputs[-1] + 0.5)
        if peer.name == "TabDiff":
            assert [x.shape for x in out[1]] == [(5, k + 1) for k in ADULT[1]]
            out, moved = out[0], moved[0]
        assert out.shape == inputs[0].shape and out.isfinite().all()
        assert not torch.allclose(out, moved)  # the time counts


def test_a_table_of_one_kind_of_column_has_networks_too():
    torch = pytest.importorskip("torch")
    from _peer_networks import PEERS

    for numbers, cardinalities in ((6, ()), (0, (9, 2))):
        for peer in PEERS:
            network = peer.make(numbers, cardinalities).eval()
            inputs = network.draw_inputs(5)
            with torch.inference_mode():
                out = network(*inputs)
            if peer.name == "TabDiff":
                assert inputs[1].shape == (5, len(cardinalities))
                assert [x.shape[1] for x in out[1]] == [k + 1 for k in cardinalities]
                out = out[0]
            assert out.shape == inputs[0].shape


def test_codes_of_a_category_are_its_levels_and_masked():
    torch = pytest.importorskip("torch")
    from _peer_networks import TabDiff

    codes = TabDiff(1, (2, 4)).draw_inputs(4000)[1]
    assert [torch.bincount(code).numel() for code in codes.T] == [3, 5]
    assert torch.bincount(codes[:, 0]).min() > 1000


def test_our_errors_are_quoted_only_where_their_record_is(monkeypatch, tmp_path):
    assert None not in _peer_arms.read_errors(32).values()
    monkeypatch.setattr(_peer_arms, "RESULTS", tmp_path)
    assert _peer_arms.read_errors(32) == dict.fromkeys(ERRORS)


@pytest.mark.slow  # it compiles our sampler twice at its default size
def test_record_of_a_tiny_run(tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, str(SCRIPTS / "benchmark_peers.py"), f"--run_dir={tmp_path}",
               "--data=rand_hie", "--batch=4", "--evaluations=1", "--rounds=3"]  # fmt: skip
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "peers.json").read_text())["tables"]["networks"]
    assert [row["evaluations"] for row in rows] == [32, 8, 100, 1000, 99, 99]
    for row in rows:
        assert not set(ERRORS) & set(row)  # known of Adult alone
        speed = row["records_per_s"]
        assert 0 < speed["lower"] <= speed["value"] <= speed["upper"]
    assert rows[0]["ours_32_times"] == {"value": 1.0, "lower": 1.0, "upper": 1.0}
    assert rows[0]["ours_8_times"]["value"] > 2  # a quarter of the evaluations
    assert "(1 to 1)" in (tmp_path / "peers.md").read_text()


@pytest.mark.parametrize("record", RECORDS)
def test_record_quotes_our_errors_with_the_evaluations_they_were_measured_with(record):
    rows = json.loads((RESULTS / record).read_text())["tables"]["networks"]
    ours = {row["evaluations"]: row for row in rows if row["network"].startswith("ours")}
    assert {32, 8} <= ours.keys()
    for nfe, row in ours.items():
        adult = json.loads((RESULTS / _peer_arms.ADULT[nfe]).read_text())
        assert f"--sampler.num_steps={nfe}" in adult["command"].split()
        scores = adult["methods"]["unet"]["scores"]
        assert all(row[name] == scores[name]["mean"] for name in ERRORS)


@pytest.mark.parametrize("record", RECORDS)
def test_record_quotes_the_peers_as_published(record):
    pytest.importorskip("torch")
    from _peer_networks import PEERS

    rows = json.loads((RESULTS / record).read_text())["tables"]["networks"]
    found = {row["network"]: row for row in rows}
    for peer in PEERS:
        assert all(found[peer.name][name] == getattr(peer, name) for name in ERRORS)


def test_ratios_of_the_readme_are_those_of_the_records(tmp_path):
    record = json.loads((RESULTS / "speed.json").read_text())
    assert record == {"command": record["command"]} | join_speed.join(RESULTS)
    found = {row["ratio"]: row for row in record["tables"]["ratios"]}
    peers = json.loads((RESULTS / "gpu_peers.json").read_text())["tables"]["networks"]
    (tabdiff,) = (row for row in peers if row["network"] == "TabDiff")
    assert found["records, ours with NFE 8 over TabDiff"]["gpu"] == tabdiff["ours_8_times"]


def test_steps_are_those_of_the_most_per_dispatch_over_those_of_torch():
    speeds = {"torch eager": 2.0, "jax, 1 step per call": 3.0, "jax, 20 steps per call": 5.0}
    rows = [{"arm": arm, "batch": 8, "steps_per_s": speed} for arm, speed in speeds.items()]
    found = join_speed.read_steps({"tables": {"steps": rows}})
    assert found == {"training steps of 8, JAX over PyTorch": 2.5}
    times = {"value": 2.4, "lower": 2.0, "upper": 3.0}  # of arms that took turns
    rows[-1] |= {"times_torch": times}
    found = join_speed.read_steps({"tables": {"steps": rows}})
    assert found == {"training steps of 8, JAX over PyTorch": times}
