"""Policy, scan and release: what passes, and that every planted fault is caught."""

import hashlib
import io
import json
import pickletools
import stat
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthdiff._files import write_json
from synthdiff.data.schema import Column, Schema
from synthdiff.data.table import write_table
from synthdiff.eval.features import hash_rows
from synthdiff.eval.policy import evaluate_policy, worst_status
from synthdiff.eval.release import decide_release, write_release
from synthdiff.eval.scan import scan_folder
from synthdiff.eval.statistics import interval

SCHEMA = Schema(
    (
        Column("id", "entity"),
        Column("age", "continuous"),
        Column("bmi", "continuous", lower=0, upper=99, public=True),
        Column("name", "categorical"),
    ),
    target="age",
)
PARTS = ("train", "test", "reference", "synthetic")
# Protocol 0 and protocol 4 of an object that would call os.system on loading; never loaded here.
PICKLES = (
    b"cos\nsystem\n(S'true'\ntR.",
    b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94"
    b"\x8c\x04true\x94\x85\x94R\x94.",
)


def _draw(seed, patients=60):
    rng = np.random.default_rng(seed)
    ids = [f"MRN-{seed}{i:05d}" for i in range(patients)]
    return pd.DataFrame(
        {
            "id": np.repeat(ids, 2),
            "age": rng.normal(50, 9, 2 * patients).clip(30, 70),
            "bmi": rng.normal(25, 3, 2 * patients),
            "name": rng.choice(["a", "b"], 2 * patients),
        }
    )


@pytest.fixture
def tables():
    found = {part: _draw(seed) for seed, part in enumerate(PARTS)}
    found["synthetic"]["age"] = found["synthetic"]["age"].clip(35, 65)
    return found


def _rate(value, upper, lower=0.0):
    return {"residual": interval(value, lower, upper), "p_value": 0.5}


def _audit(tables, **changes):
    """An audit in which everything passes."""
    attack = {
        "auc": interval(0.5, 0.48, 0.52),
        "tpr_at_1pct_fpr": interval(0.01, 0.0, 0.02),
        "p_value_holm": 0.9,
    }
    stratum = {"members": 600, "nonmembers": 600, "attacks": {"distance": attack}}
    found = {
        "unit": "patient",
        "members": 2000,
        "nonmembers": 2000,
        "seed": 0,
        "verdict": "NO LEAK DETECTED",
        "reasons": ["No attack tells."],
        "attacks": {"distance": attack},
        "controls": {name: {"detected": True} for name in ("leak", "leak_small")},
        "copies": {"train_share": 0.0, "holdout_share": 0.0, "p_value_holm": 1.0,
                   "near": _rate(0.0, 0.01)},
        "strata": {"outliers": stratum},
        "disclosure": {
            "singling_out": {"univariate": _rate(0.0, 0.02), "multivariate": _rate(0.0, 0.02)},
            "linkability": _rate(0.0, 0.01),
            "inference": {"age": _rate(0.0, 0.03) | {"outliers": _rate(0.0, 0.04)}},
        },
        "lone_rows": {"rows": 3, "rare": 0, "rare_expected": 0.5, "copied": False},
        "nearest": [{"train_row": 1, "synthetic_row": 2, "distance": 0.125}],
        "rows_sha256": {part: hash_rows(df, SCHEMA) for part, df in tables.items()},
    }  # fmt: skip
    return found | changes


def _status(audit, name):
    return {gate["name"]: gate["status"] for gate in evaluate_policy(audit)}[name]


def _release(folder, audit, tables, accept=(), **facts):
    def write_page(path, shown):
        path.write_text(f"<html>{json.dumps(shown)}</html>")

    manifest = {"dataset": "demo", "seeds": {"train": 3}, "git_revision": "abc"} | facts
    return write_release(folder, audit, tables, SCHEMA, manifest, write_page, accept)


def test_policy_passes_a_clean_audit(tables):
    assert worst_status(evaluate_policy(_audit(tables))) == "PASS"


@pytest.mark.parametrize(
    ("lower", "value", "upper", "status"),
    [
        (0.0, 0.01, 0.05, "PASS"),
        (0.0, 0.01, 0.08, "CAUTION"),
        (0.0, 0.04, 0.2, "INCONCLUSIVE"),
        (0.06, 0.07, 0.1, "FAIL"),
        (-0.1, 0.0, 0.0499, "PASS"),
    ],
)
def test_limits_bind_the_upper_bound(tables, lower, value, upper, status):
    audit = _audit(tables)
    audit["disclosure"]["linkability"] = _rate(value, upper, lower)
    assert _status(audit, "linkability") == status


def test_each_part_of_the_audit_can_stop_a_release(tables):
    base = _audit(tables)
    attack = base["attacks"]["distance"]
    loud = {"distance": attack | {"tpr_at_1pct_fpr": interval(0.2, 0.15, 0.25)}}
    sure = {"distance": attack | {"auc": interval(0.7, 0.65, 0.75)}}
    significant = {"distance": attack | {"p_value_holm": 0.001}}
    cases = {
        "validity": ({"verdict": "INVALID"}, "INVALID"),
        "verdict": ({"verdict": "LEAK DETECTED"}, "FAIL"),
        "power": ({"verdict": "INCONCLUSIVE"}, "INCONCLUSIVE"),
        "membership TPR": ({"attacks": loud}, "FAIL"),
        "membership AUC": ({"attacks": sure}, "FAIL"),
        "membership test": ({"attacks": significant}, "FAIL"),
        "exact copies": ({"copies": base["copies"] | {"p_value_holm": 0.01}}, "FAIL"),
        "near copies": ({"copies": base["copies"] | {"near": _rate(0.2, 0.3, 0.1)}}, "FAIL"),
        "rows of one patient": ({"lone_rows": base["lone_rows"] | {"rare": 1}}, "CAUTION"),
        "disclosure": ({"disclosure": None}, "INCONCLUSIVE"),
        "membership TPR, outliers": (
            {"strata": {"outliers": base["strata"]["outliers"] | {"attacks": loud}}},
            "FAIL",
        ),
    }
    for name, (change, status) in cases.items():
        assert _status(base | change, name) == status, name


def test_a_leak_by_linkability_alone_fails_and_does_not_make_up_for_few_patients(tables):
    """A tiny p-value whose residual risk is within its limit: only the verdict knows of it."""
    linked = _rate(0.02, 0.04) | {"p_value": 1e-9, "p_value_holm": 1e-7}
    changes = {"verdict": "LEAK DETECTED", "reasons": ["Linkability succeeds."]}
    disclosure = _audit(tables)["disclosure"] | {"linkability": linked}
    leaky = _audit(tables, disclosure=disclosure, **changes)
    assert _status(leaky, "linkability") == "PASS"
    assert (_status(leaky, "verdict"), _status(leaky, "power")) == ("FAIL", "PASS")
    assert _status(leaky | {"members": 300}, "power") == "INCONCLUSIVE"
    clean = _audit(tables)
    whole = clean | {"whole_patients": clean | {"disclosure": disclosure} | changes}
    assert _status(whole, "verdict") == "PASS"
    assert _status(whole, "verdict, whole patients") == "FAIL"
    assert _status(whole | {"members": 300}, "power, whole patients") == "INCONCLUSIVE"


def test_a_wide_interval_does_not_stand_in_for_a_leak(tables):
    """Of two attacks the one of the higher upper bound is inconclusive; the other shows a leak."""
    attack = _audit(tables)["attacks"]["distance"]
    leak = attack | {"tpr_at_1pct_fpr": interval(0.2, 0.15, 0.25)}
    wide = attack | {"tpr_at_1pct_fpr": interval(0.02, 0.0, 0.3)}
    for found in ({"a": leak, "b": wide}, {"b": wide, "a": leak}):
        stratum = {"members": 600, "nonmembers": 600, "attacks": found}
        audit = _audit(tables, attacks=found, strata={"outliers": stratum})
        assert _status(audit, "membership TPR") == "FAIL"
        assert _status(audit, "membership TPR, outliers") == "FAIL"


def test_parts_that_an_audit_lacks_do_not_pass(tables):
    audit = _audit(tables, strata={})
    del audit["copies"]["near"]
    assert _status(audit, "membership TPR, strata") == "INCONCLUSIVE"
    assert _status(audit, "near copies") == "INCONCLUSIVE"
    del audit["lone_rows"]
    assert _status(audit, "rows of one patient") == "INCONCLUSIVE"
    audit["lone_rows"] = {"rows": 3, "rare": 3, "rare_expected": 0.0, "copied": True}
    assert _status(audit, "rows of one patient") == "FAIL"


def test_a_leak_of_vulnerable_patients_alone_fails_the_test_of_membership(tables):
    audit = _audit(tables)
    quiet = audit["attacks"]["distance"]
    audit["strata"]["outliers"]["attacks"] = {"distance": quiet | {"p_value_holm": 0.001}}
    assert _status(audit, "membership test") == "FAIL"


def test_small_strata_call_for_caution_and_empty_ones_for_nothing(tables):
    few = {"skipped": "5 members", "members": 5, "nonmembers": 4}
    audit = _audit(tables, strata={"few": few, "none": few | {"members": 0, "nonmembers": 0}})
    assert _status(audit, "membership TPR, few") == "CAUTION"
    assert _status(audit, "membership TPR, none") == "PASS"


def test_no_gate_ever_calls_a_table_private(tables):
    for gate in evaluate_policy(_audit(tables)):
        assert "private" not in gate["status"].lower() and "private" not in gate["reason"].lower()


def test_a_passing_table_is_released_whole(tables, tmp_path):
    assert _release(tmp_path / "release", _audit(tables), tables) == []
    names = {path.name for path in (tmp_path / "release").iterdir()}
    assert names == {"synthetic.csv", "metadata.json", "card.md", "report.html", "audit.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    card = (tmp_path / "release/card.md").read_text()
    for part in ("Intended use", "Limits", "Not tested", "train 3", "abc", "linkability"):
        assert part in card
    assert "accepted" not in card
    for path in (tmp_path / "release").iterdir():
        assert "nearest" not in path.read_text() or path.name == "card.md"
    assert "nearest" not in json.loads((tmp_path / "release/audit.json").read_text())


def test_nothing_that_is_released_holds_a_hash_of_real_rows(tables, tmp_path):
    """An attacker who knows all other patients would learn from one who is in the table."""
    audit, source = _audit(tables), "5eed" * 16
    assert _release(tmp_path / "release", audit, tables, data_sha256=source) == []
    real = {source, *(audit["rows_sha256"][part] for part in PARTS[:3])}
    real |= {hashlib.sha256(tables[part].to_csv().encode()).hexdigest() for part in PARTS[:3]}
    texts = [path.read_text() for path in (tmp_path / "release").iterdir()]
    assert not any(digest in text for digest in real for text in texts)
    assert any(audit["rows_sha256"]["synthetic"] in text for text in texts)


@pytest.mark.parametrize("status", ["FAIL", "INCONCLUSIVE"])
def test_a_refusal_leaves_nothing_and_takes_back_an_earlier_release(tables, tmp_path, status):
    _release(tmp_path / "release", _audit(tables), tables)
    audit = _audit(tables)
    bad = {"FAIL": _rate(0.2, 0.31, 0.1), "INCONCLUSIVE": _rate(0.04, 0.31)}[status]
    audit["disclosure"]["linkability"] = bad
    (reason,) = _release(tmp_path / "release", audit, tables, accept=())
    assert reason.startswith(f"{status}, gate 'linkability'") and "0.310" in reason
    assert list(tmp_path.iterdir()) == []
    refusals = decide_release(audit, tables, SCHEMA, {}, ["linkability"]).refusals
    assert len(refusals) == 2  # it cannot be accepted either


def test_a_caution_is_released_only_when_accepted_by_name(tables, tmp_path):
    audit = _audit(tables)
    audit["disclosure"]["inference"]["age"] = _rate(0.01, 0.07)
    folder = tmp_path / "release"
    assert "CAUTION, gate 'inference of age'" in _release(folder, audit, tables)[0]
    assert not folder.exists()
    assert _release(folder, audit, tables, ["inference of age"]) == []
    card = (folder / "card.md").read_text()
    assert "accepted" in card and "**inference of age**" in card
    assert "no gate of this name" in _release(folder, audit, tables, ["inference of agee"])[0]


def test_a_run_that_began_at_another_model_needs_a_person_to_answer_for_its_patients(
    tables, tmp_path
):
    folder, start = tmp_path / "release", {"dataset": "others.csv", "patients": 9}
    start["differential_privacy"] = False
    found = _release(folder, _audit(tables), tables, start=start)
    assert "CAUTION, gate 'first model'" in found[0] and "9 patients of others.csv" in found[0]
    assert _release(folder, _audit(tables), tables, ["first model"], start=start) == []
    assert "9 patients of others.csv" in (folder / "card.md").read_text()


def test_an_audit_of_another_table_refuses(tables, tmp_path):
    audit = _audit(tables)
    other = tables | {"synthetic": _draw(9)}
    assert "another synthetic table" in _release(tmp_path / "release", audit, other)[0]


def test_a_real_row_in_the_table_refuses_though_every_gate_passes(tables, tmp_path):
    tables["synthetic"].loc[5, ["age", "bmi", "name"]] = tables["train"].loc[
        tables["train"]["age"].sub(50).abs().idxmin(), ["age", "bmi", "name"]
    ]
    (reason,) = _release(tmp_path / "release", _audit(tables), tables)
    assert "real row" in reason and list(tmp_path.iterdir()) == []


def _scan(folder, tables, schema=SCHEMA):
    real = {part: tables[part] for part in PARTS[:3]}
    return {(f.kind, f.file) for f in scan_folder(folder, real, schema)}


def test_a_clean_folder_has_no_finding(tables, tmp_path):
    write_table(tables["synthetic"], tmp_path / "synthetic.csv")
    write_table(tables["synthetic"], tmp_path / "synthetic.parquet")
    (tmp_path / "card.md").write_text("# Card\n\n120 rows, AUC 0.501, seed MRN-3.\n")
    write_json(tmp_path / "audit.json", {"auc": 0.5012345, "rows": 120})
    assert _scan(tmp_path, tables) == set()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_planted_rows_ids_and_extremes_are_found_in_tables(tables, tmp_path, suffix):
    clean, train = tables["synthetic"], tables["train"]
    inner = train["age"].between(40, 60).idxmax()
    features = ["age", "bmi", "name"]
    row = clean.copy()
    row.loc[3, features] = train.loc[inner, features]
    named = clean.assign(id=clean["id"].where(clean.index != 4, tables["test"].loc[0, "id"]))
    hidden = clean.assign(name=clean["name"].where(clean.index != 4, train.loc[0, "id"]))
    extreme = clean.assign(age=clean["age"].where(clean.index != 4, train["age"].max()))
    formula = clean.assign(name=clean["name"].where(clean.index != 4, "=HYPERLINK(1)"))
    planted = {"real row": row, "identifier": named, "extreme": extreme, "code": formula}
    for kind, df in (*planted.items(), ("identifier", hidden)):
        write_table(df, tmp_path / f"t{suffix}")
        assert _scan(tmp_path, tables) == {(kind, f"t{suffix}")}


def test_ids_of_groups_are_ids_of_real_people(tables, tmp_path):
    """A person of a household: the household's id is fresh, the person's is not."""
    tables = {part: df.assign(who=df["id"] + "-1") for part, df in tables.items()}
    schema = Schema((Column("who", "group"), *SCHEMA.columns))
    made = tables["synthetic"].copy()
    write_table(made, tmp_path / "t.csv")
    assert _scan(tmp_path, tables, schema) == set()
    made.loc[3, "who"] = tables["test"].loc[0, "who"]
    write_table(made, tmp_path / "t.csv")
    assert _scan(tmp_path, tables, schema) == {("identifier", "t.csv")}


def test_levels_and_codes_of_one_patient_alone_are_found_unless_public(tables, tmp_path):
    """A name or a rare diagnosis tells of somebody, whatever stands beside it."""
    columns = (*SCHEMA.columns, Column("codes", "code_set", delimiter=";"))
    tables = {part: df.assign(codes="E11;I10") for part, df in tables.items()}
    tables["train"].loc[[0, 1], "name"] = "hermit"  # two rows of one patient
    tables["train"].loc[[2, 5], "name"] = "shared"  # of two
    tables["test"].loc[7, "codes"] = "I10;Q99"
    for change, kinds in (
        ({"name": "shared"}, set()),
        ({"name": "hermit"}, {"rare level"}),
        ({"codes": "E11;Q99"}, {"rare level"}),
    ):
        made = tables["synthetic"].copy()
        made.loc[3, list(change)] = list(change.values())
        write_table(made, tmp_path / "t.csv")
        for public in (False, True):
            schema = Schema(tuple(replace(c, public=c.public or public) for c in columns))
            expected = set() if public else {(kind, "t.csv") for kind in kinds}
            assert _scan(tmp_path, tables, schema) == expected


def test_rows_and_extremes_of_many_are_no_finding(tables, tmp_path):
    """A value at which many patients pile up, a public bound, a row that two patients share."""
    train, made = tables["train"], tables["synthetic"].copy()
    train["age"] = train["age"].clip(45, 55)
    train.loc[2, ["age", "bmi", "name"]] = train.loc[0, ["age", "bmi", "name"]]
    made.loc[0, ["age", "bmi", "name"]] = train.loc[0, ["age", "bmi", "name"]]
    made.loc[1, "age"] = 55
    made.loc[2, "bmi"] = train["bmi"].max()
    write_table(made, tmp_path / "t.csv")
    assert _scan(tmp_path, tables) == set()


def test_a_row_that_one_patient_has_twice_is_one_patients(tables, tmp_path):
    train, made = tables["train"], tables["synthetic"].copy()
    inner = train["age"].between(40, 60).idxmax()
    train.loc[inner + 1] = train.loc[inner]
    made.loc[3, ["age", "bmi", "name"]] = train.loc[inner, ["age", "bmi", "name"]]
    write_table(made, tmp_path / "t.csv")
    assert _scan(tmp_path, tables) == {("real row", "t.csv")}


@pytest.mark.parametrize("part", PARTS[:3])
def test_a_copy_of_any_real_table_is_found(tables, tmp_path, part):
    """Held-out patients are real too, though no attack on members can see that they were copied."""
    made = tables[part].assign(id=tables["synthetic"]["id"])
    write_table(made[made["age"].between(40, 60)], tmp_path / "t.csv")
    assert _scan(tmp_path, tables) == {("real row", "t.csv")}


def _draw_levels(seed, patients=1500):
    """Six independent columns of four levels: a row has one of 4,096 values."""
    levels = np.random.default_rng(seed).integers(0, 4, (patients, 6)).astype(str)
    columns = {f"c{i}": levels[:, i] for i in range(6)}
    return pd.DataFrame({"id": [f"MRN-{seed}{i:05d}" for i in range(patients)], **columns})


def test_rows_that_meet_by_chance_are_no_copies(tmp_path):
    schema = Schema((Column("id", "entity"), *(Column(f"c{i}", "categorical") for i in range(6))))
    tables = {part: _draw_levels(seed) for seed, part in enumerate(PARTS)}
    write_table(tables["synthetic"], tmp_path / "t.csv")
    assert _scan(tmp_path, tables, schema) == set()
    made = tables["synthetic"].copy()
    made.iloc[:300, 1:] = tables["train"].iloc[:300, 1:]
    write_table(made, tmp_path / "t.csv")
    assert _scan(tmp_path, tables, schema) == {("real row", "t.csv")}


@pytest.mark.parametrize(
    "page",
    [
        "<svg/onload=f()>",
        '<img src=x\nonerror="f()">',
        '<a href="data:text/html,x">',
        '<meta http-equiv="refresh">',
        "<SCRIPT>",
        "<base href=x>",
    ],
)
def test_active_pages_are_code_and_plain_ones_are_not(tables, tmp_path, page):
    (tmp_path / "report.html").write_text("<p>conditions on = 3, only = 4, <b class='on'>x</b></p>")
    assert _scan(tmp_path, tables) == set()
    (tmp_path / "report.html").write_text(page)
    assert _scan(tmp_path, tables) == {("code", "report.html")}


def test_ids_and_extremes_are_found_in_texts(tables, tmp_path):
    top = float(tables["train"]["age"].max())
    top = float(np.sort(tables["train"]["age"])[0]) if top == 70 else top
    (tmp_path / "a.md").write_text(f"Thanks to {tables['reference'].loc[8, 'id']}.")
    write_json(tmp_path / "b.json", {"knots": [0.5, top]})
    assert _scan(tmp_path, tables) == {("identifier", "a.md"), ("extreme", "b.json")}


def _npy(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pkl", PICKLES[1]),
        ("notes.txt", PICKLES[0]),
        ("notes.txt", PICKLES[1]),
        ("card.md", b"hello " + PICKLES[1]),
        ("model.npy", _npy(np.array([{}], dtype=object))),
        ("model.json", _npy(np.array([{}], dtype=object))),
        ("model.json", b"PK\x03\x04zip"),
        ("setup.py", b"print(1)"),
        ("run.txt", b"#!/bin/sh\nrm"),
        ("page.html", b"<p onclick = 'x()'>"),
        ("page.html", b"<SCRIPT>x()</SCRIPT>"),
        ("card.md", b"[a](javascript:x)"),
    ],
)
def test_files_that_run_are_found(tables, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert _scan(tmp_path, tables) == {("code", name)}


def test_the_planted_pickles_are_pickles_that_call_something():
    for content in PICKLES:
        names = [opcode.name for opcode, _, _ in pickletools.genops(content)]
        assert "REDUCE" in names and names[-1] == "STOP"


def test_links_and_executables_are_found(tables, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_text("text")
    (tmp_path / "sub/a.txt").chmod(0o755)
    (tmp_path / "b.txt").symlink_to("/etc/passwd")
    assert _scan(tmp_path, tables) == {("code", "sub/a.txt"), ("code", "b.txt")}


def test_private_json_is_for_the_owner_only(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    write_json(path, {"a": 1}, private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and json.loads(path.read_text()) == {"a": 1}
