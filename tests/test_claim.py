"""A private run's claim meets its canaries: in the gate, the release, the report and the card."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from absl import flags
from test_model_card import write as write_card
from test_private import SCHEMA as PRIVATE_SCHEMA
from test_private import make_table
from test_release import PARTS, SCHEMA, _audit, _draw

import synthdiff
from synthdiff import private_run
from synthdiff._files import seal, write_json
from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.eval.claim import describe_claim
from synthdiff.eval.policy import judge_claim
from synthdiff.eval.release import decide_release, write_release
from synthdiff.eval.report import write_report
from synthdiff.models.config import ModelConfig
from synthdiff.train.dp import DpConfig
from synthdiff.train.optim import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import _table_canaries
import validate_dp
from _report import read_extras

FLAGS, SCRIPT = flags.FLAGS, validate_dp
ACCOUNT = {"epsilon": 3.0, "delta": 1e-5, "ledger": [{"noise_multiplier": 1.4}]}
MANIFEST = {"dataset": "demo", "git_revision": "abc", "differential_privacy": ACCOUNT}


def record(found=2.27, third=9.8, *, claimed=3.0, account=ACCOUNT, commit="abc"):
    row = {
        "release": "all of these",
        "claimed epsilon": claimed,
        "lower bound": found,
        "contradicted": False,
        "bound if all is as claimed": 2.31,
        "bound at a third of the noise": third,
        "canaries": 2000,
    }
    first = row | {"release": "histograms", "claimed epsilon": 2.45, "lower bound": 1.5}
    return {"commit": commit, "account": account, "rows": [first, row]}


OTHER = ACCOUNT | {"ledger": [{"noise_multiplier": 0.9}]}
CASES = {
    "as claimed": (record(), "PASS"),
    "at the claim": (record(3.0), "PASS"),
    "above the claim": (record(3.01), "FAIL"),
    "above the claim of the run": (record(3.5, claimed=4.0), "FAIL"),
    "no number": (record(float("nan")), "FAIL"),
    "a part above its claim": (
        record() | {"rows": [record()["rows"][0] | {"lower bound": 2.5}, record()["rows"][1]]},
        "FAIL",
    ),
    "not run": (None, "INCONCLUSIVE"),
    "of another run": (record(account=OTHER), "INCONCLUSIVE"),
    "of settings": (record(account=None), "INCONCLUSIVE"),
    "blind": (record(third=2.9), "CAUTION"),
    "of another version": (record(commit="abd"), "CAUTION"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_gate_of_a_claim(case):
    canaries, status = CASES[case]
    (gate,) = judge_claim(MANIFEST, canaries)
    assert gate["status"] == status and gate["limit"] == 3.0


def test_a_run_without_a_claim_has_no_gate_whatever_lies_in_its_folder():
    for manifest in ({}, {"differential_privacy": None}):
        assert judge_claim(manifest, record(9.0)) == judge_claim(manifest, None) == []


@pytest.fixture
def tables():
    found = {part: _draw(seed) for seed, part in enumerate(PARTS)}
    found["synthetic"]["age"] = found["synthetic"]["age"].clip(35, 65)
    return found


def test_a_release_needs_canaries_that_do_not_contradict_the_claim(tables, tmp_path):
    def write(canaries, accept=(), manifest=MANIFEST):
        return write_release(
            *(tmp_path / "release", _audit(tables), tables, SCHEMA, manifest),
            *(lambda path, shown: path.write_text("<p>"), accept, canaries),
        )

    assert write(record()) == []
    card = (tmp_path / "release" / "card.md").read_text()
    assert "| claimed epsilon | PASS | Epsilon is at least 2.27 and 3 is claimed" in card
    (reason,) = write(record(3.4))
    assert "FAIL, gate 'claimed epsilon'" in reason and "claim of all of these" in reason
    assert not (tmp_path / "release").exists()
    assert len(write(record(3.4), ["claimed epsilon"])) == 2  # nobody can answer for it
    (reason,) = write(None)
    assert reason.startswith("INCONCLUSIVE") and "validate_dp.py" in reason
    assert write(record(third=1.0)) and not write(record(third=1.0), ["claimed epsilon"])
    assert write(record(3.4), manifest={"dataset": "demo"}) == []  # not private


def page(folder, canaries, manifest=MANIFEST, audit=None):
    parts = {"evaluation": None, "audit": audit, "training": None, "canaries": canaries}
    write_report(folder / "report.html", manifest=manifest, schema=SCHEMA, **parts)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_and_card_show_claim_bound_and_power_to_three_readers(tmp_path):
    account = {"differential_privacy": ACCOUNT, "git_revision": "abc"}
    for text in (page(tmp_path, record()), write_card(account, canaries=record())):
        for who in describe_claim(MANIFEST, record()):
            assert who in text
        for part in ("at most 95% sure", "at least 91% sure", "epsilon 3 at delta 1e-05",
                     "at least 2.27", "2.31", "9.8", "histograms", "1.50"):  # fmt: skip
            assert part in text, part
        assert "do not rely" not in text
    for text in (page(tmp_path, None), write_card(account)):
        assert "canaries were not run" in text and "validate_dp.py" in text
        assert "at least 91%" not in text and "Nobody has tried yet" in text
    for text in (page(tmp_path, record(3.4)), write_card(account, canaries=record(3.4))):
        assert "do not rely on it" in text and "FAIL" in text and "release nothing" in text
    other = record(account=OTHER)  # nothing of another run's numbers is shown
    for text in (page(tmp_path, other), write_card(account, canaries=other)):
        assert "another run" in text and "9.8" not in text


def test_the_first_line_of_the_page_counts_the_claim(tmp_path):
    def first(canaries, manifest=MANIFEST):
        gates = [{"name": "validity", "status": "PASS", "reason": "", "why": "so"}]
        audit = {"verdict": "NO LEAK DETECTED", "gates": gates, "controls": {}, "attacks": {}}
        text = page(tmp_path, canaries, manifest, audit)
        return text[text.index("sharing") :].partition("</p>")[0]

    assert "Passes the checks" in first(record()) and "each of 2 checks" in first(record())
    assert "Not cleared yet" in first(None) and "1 of 2 checks" in first(None)
    assert "Do not hand it on" in first(record(3.4))
    plain = MANIFEST | {"differential_privacy": None}
    assert "each of 1 checks" in first(record(3.4), plain)
    assert "Guarantee</a>" not in page(tmp_path, record(), plain)


# ---- one private run, audited by its own settings

CONFIG = Config(
    ModelConfig("mlp", width=4, hidden=16),
    train=TrainConfig(num_steps=2, batch_size=20, steps_per_call=2),
    dp=DpConfig(epsilon=6.0, max_rows_per_patient=2),
)
needs_extra = pytest.mark.skipif(
    not (find_spec("dp_accounting") and find_spec("jax_privacy")),
    reason="needs the extra dp: pip install 'synthdiff[dp]'",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, coarse_accounts):
    folder, columns = tmp_path_factory.mktemp("private"), PRIVATE_SCHEMA.columns[:-1]
    table = make_table(patients=150).drop(columns="codes")
    schema = type(PRIVATE_SCHEMA)(columns)
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(private_run, "DRAWN_ROWS", 2000)  # only quicker: what is released is the same
        model = synthdiff.fit(table, schema, config=CONFIG, folder=folder, progress=False)
    manifest = {"git_revision": None, "differential_privacy": model.privacy}
    return folder, json.loads(json.dumps(manifest))


@pytest.fixture
def small(script_flags, monkeypatch):
    monkeypatch.setattr(_table_canaries, "CROWD", 40)
    monkeypatch.setattr(FLAGS["releases"], "value", 100)
    monkeypatch.setattr(validate_dp, "draw_secret", lambda _: 0)


def audit_of(run):
    folder, manifest = run
    canaries = read_extras(folder)["canaries"]
    (gate,) = judge_claim(manifest | {"git_revision": canaries["commit"]}, canaries)
    return canaries, gate


@needs_extra
def test_canaries_of_a_finished_run_are_of_its_own_settings(run, small):
    validate_dp.validate(run[0])
    canaries, gate = audit_of(run)
    ledger = run[1]["differential_privacy"]["ledger"]
    rows = {row["release"]: row for row in canaries["rows"]}
    assert [row["noise multiplier"] for row in list(rows.values())[:3]] == pytest.approx(
        [entry["noise_multiplier"] for entry in ledger]
    )
    whole = rows["all of these"]
    assert whole["claimed epsilon"] == pytest.approx(6.0, abs=0.02) and whole["canaries"] == 100
    assert 1.0 < whole["lower bound"] < 6.0 < whole["bound at a third of the noise"]
    assert gate["status"] in ("PASS", "CAUTION") and gate["value"] == whole["lower bound"]
    assert "canaries.json" in (run[0] / "SHA256SUMS").read_text()


@needs_extra
def test_a_mechanism_that_forgets_its_cap_is_refused(run, small, monkeypatch):
    monkeypatch.setattr(private_run, "cap_rows", lambda df, patients, most, rng: (df, patients))
    with pytest.raises(SystemExit, match="contradicted"):
        validate_dp.validate(run[0])
    assert audit_of(run)[1]["status"] == "FAIL"
    tables = {part: _draw(seed) for seed, part in enumerate(PARTS)}
    found = (_audit(tables), tables, SCHEMA, run[1], (), audit_of(run)[0])
    assert "contradict" in " ".join(decide_release(*found).refusals)


@needs_extra
def test_what_would_be_of_another_mechanism_is_refused(run, small, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"holds no private run(.|\n)*--dp.epsilon"):
        validate_dp.validate(tmp_path)
    with monkeypatch.context() as given:
        given.setattr(FLAGS["dp.codec_share"], "present", 1)
        with pytest.raises(InputError, match=r"--dp.codec_share(.|\n)*has its own"):
            validate_dp.validate(run[0])
    account = json.loads((run[0] / "privacy.json").read_text())
    for change in (
        lambda a: a["ledger"][0].update(noise_multiplier=0.3),
        lambda a: a["ledger"].pop(),
    ):
        (tmp_path / "config.json").write_bytes((run[0] / "config.json").read_bytes())
        doctored = json.loads(json.dumps(account))
        change(doctored)
        write_json(tmp_path / "privacy.json", doctored)
        seal(tmp_path, "config.json", "privacy.json")
        with pytest.raises(InputError, match=r"account notes epsilon and noise"):
            validate_dp.validate(tmp_path)


@needs_extra
def test_a_result_edited_by_hand_is_not_read(run, small):
    path = run[0] / "canaries.json"
    write_json(path, record())
    with pytest.raises(InputError, match=r"SHA256SUMS(.|\n)*validate_dp"):
        read_extras(run[0])
