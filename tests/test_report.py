import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.simulate import join_codes
from synthdiff.eval.audit import audit
from synthdiff.eval.evaluate import evaluate
from synthdiff.eval.frontier import group_points, summarise_frontier
from synthdiff.eval.group_measures import SCORES
from synthdiff.eval.report import write_report
from synthdiff.eval.report.groups import CHECKS, GAPS
from synthdiff.eval.report.readers import describe_audit
from synthdiff.eval.report.style import CSS

SENTINEL_CODE, SENTINEL_NUMBER = "Zq7Sentinel", 98765.4321
MANIFEST = {"dataset": "demo", "git_revision": "abc123", "seeds": {"train": 4}, "created": "2026"}
TRAINING = [{"step": s, "loss": 1 / s, "rate": 2.0, "grad_norm": 0.1} for s in (10, 20, 30)]

TRAJECTORY = {
    "rows": 512,
    "steps": [0, 2, 4],
    "masked": [1.0, 0.53, 0.0],
    "noise": {"distance": [54.7, 1.23, 0.0], "edges": [-3, -1, 1, 3],
              "shares": [[0.3, 0.4, 0.3], [0.2, 0.6, 0.2], [0.0, 1.0, 0.0]]},
    "columns": {
        "<b>&\"'y": {"kind": "numeric", "dates": False, "edges": [0.0, 1.0, 2.0],
                    "shares": [[0.0, 0.0], [0.3, 0.2], [0.6, 0.4]]},
        "dx": {"kind": "categorical", "labels": ["a", "<i>b"],
               "shares": [[0.0, 0.0], [0.2, 0.2], [0.5, 0.5]]},
    },
}  # fmt: skip


WHITEBOX = {
    "attacks": {"loss": {"auc": 0.5, "p_value": 0.5}},
    "shadow_models": 8,
    "shadow_patients": 100,
    "verdict": "INCONCLUSIVE",
}


def _render(path, schema, **parts):
    empty = {"evaluation": None, "audit": None, "training": None, "manifest": MANIFEST}
    write_report(path / "report.html", schema=schema, **{**empty, **parts})
    return (path / "report.html").read_text(encoding="utf-8")


def _schema(*names, **roles):
    columns = [Column(name, "continuous") for name in names]
    return Schema((Column("patient", "entity"), *columns, Column("dx", "categorical")), **roles)


def _table(schema, seed, patients=60):
    rng = np.random.default_rng(seed)
    columns = {"patient": np.repeat(np.arange(patients), 2) + seed * 10_000}
    for column in schema.features:
        values = rng.normal(size=2 * patients)
        columns[column.name] = values if column.is_numeric else np.where(values > 0, "a", "b")
        if column.kind == "code_set":
            codes = rng.random((2 * patients, 4)) < 0.5
            columns[column.name] = join_codes(codes, ("E11", "I10", "I20", "J45"))
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def results():
    """Evaluation and audit of tables where one train patient has values that nobody else has."""
    schema = _schema("x", "<b>&\"'y")
    columns = (*schema.columns, Column("site", "categorical"), Column("codes", "code_set"))
    schema = Schema(columns, target="dx", sensitive=("<b>&\"'y", "site"))
    train, test, reference, synthetic = (_table(schema, seed) for seed in range(4))
    train.loc[:5, "site"], train.loc[6:7, "site"] = "tiny", SENTINEL_CODE  # 3 patients and 1
    train.loc[0, "x"] = SENTINEL_NUMBER
    train["dx"] = train["dx"].astype(object)
    train.loc[0, "dx"] = SENTINEL_CODE
    train.loc[0, "codes"] = f"I10;{SENTINEL_CODE}"
    return {
        "schema": schema,
        "evaluation": evaluate(train, test, synthetic, schema),
        "audit": audit(train, test, reference, synthetic, schema),
        "training": TRAINING,
        "trajectory": TRAJECTORY,
    }


@pytest.fixture(scope="module")
def html(results, tmp_path_factory):
    return _render(tmp_path_factory.mktemp("report"), **results)


def _decoded(html):
    """The page with its figures as text."""
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    assert found
    return html + "".join(base64.b64decode(code).decode() for code in found)


def test_page_says_which_attackers_were_tried_and_what_was_not(tmp_path, results):
    shown = {part: results[part] for part in ("schema", "audit")}
    text = _render(tmp_path, **shown)
    start = text.index("Threat model")
    threats = text[start : text.index("</table>", start)]
    assert "7 attacks on membership" in threats and "3 ways of singling out" in threats
    assert threats.count("not tried") == 2  # neither trajectories nor the model
    shown["audit"] = results["audit"] | {"whitebox": WHITEBOX}
    private = MANIFEST | {"differential_privacy": {"epsilon": 1, "delta": 1e-5}}
    text = _render(tmp_path, manifest=private, **shown)
    assert "1 attacks on the model" in text and "covers the table alone" in text
    assert "weights; only the table" not in text


AUDITED = {
    "verdict": "NO LEAK DETECTED",
    "members": 1200,
    "nonmembers": 1200,
    "attacks": {
        "distance": {"auc": 0.511, "tpr_at_1pct_fpr": 0.012, "p_value_holm": 0.8},
        "classifier": {"auc": 0.523, "tpr_at_1pct_fpr": 0.017, "p_value_holm": 0.4},
    },
    "controls": {"null": {"auc": 0.498}},
    "minimum_detectable_tpr": 0.027,
}


@pytest.mark.parametrize(
    ("verdict", "statuses", "clinicians", "officers"),
    [
        ("NO LEAK DETECTED", ["PASS", "PASS"], "could not tell who was learnt from", "2 of 2"),
        ("NO LEAK DETECTED", ["PASS", "CAUTION"], "Not every check", "CAUTION, want a person"),
        ("LEAK DETECTED", ["FAIL", "INCONCLUSIVE"], "better than by chance", "FAIL, refuse: gate0"),
        ("INCONCLUSIVE", ["PASS", "INCONCLUSIVE"], "could not be decided", "1 of 2 gates pass"),
        ("INVALID", ["INVALID"], "nothing is known", "INVALID, cannot be read: gate0"),
    ],
)
def test_three_readers_are_told_what_the_audit_means(verdict, statuses, clinicians, officers):
    gates = [{"name": f"gate{i}", "status": status} for i, status in enumerate(statuses)]
    words = describe_audit(AUDITED | {"verdict": verdict, "gates": gates})
    assert clinicians in words["For clinicians"] and officers in words["For privacy officers"]
    kept = "Keep the table as you keep the real data" in words["For clinicians"]
    assert kept != all(status == "PASS" for status in statuses)
    assert "no differential privacy" in words["For privacy officers"]
    for part in ("1,200 members", "classifier, has AUC 0.523", "1.7%", "p = 0.4", "0.498", "2.7%"):
        assert part in words["For researchers"]


def test_a_page_tells_three_readers_once(tmp_path, results):
    """Of a private run in the section on its guarantee, else in that on privacy."""
    shown = {part: results[part] for part in ("schema", "audit")}
    for private in ({}, {"differential_privacy": {"epsilon": 1, "delta": 1e-5}}):
        text = _render(tmp_path, manifest=MANIFEST | private, **shown)
        where = text.index("For clinicians"), text.index('id="privacy"')
        assert text.count("For clinicians") == 1 and where[0] > where[1]
        assert ("Nothing bounds the risk" in text) == (not private)


def test_page_needs_no_network_and_no_script(html):
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", html)
    assert "<script" not in html.lower() and "@import" not in html and "<link" not in html
    assert not re.search(r"url\(", html)


def test_column_names_are_escaped(html):
    assert "<b>&\"'y" not in html
    assert "&lt;b&gt;&amp;&quot;&#x27;y" in html


def test_no_value_of_a_single_patient_is_shown(html):
    text = _decoded(html)
    assert SENTINEL_CODE not in text
    for written in ("98765", "98,765", "98766", "98,766", "9.8765", "9.88e"):
        assert written not in text


def test_verdict_and_headline_numbers_are_there(html, results):
    audit, evaluation = results["audit"], results["evaluation"]
    assert html.count(audit["verdict"]) >= 2
    for number in (
        f"{evaluation['fidelity']['rate']:.1f}%",
        f"{evaluation['detection']['auc']['value']:.3f}",
        f"{evaluation['utility']['mean']['tstr']['auroc']:.3f}",
        f"{max(a['auc']['value'] for a in audit['attacks'].values()):.3f}",
    ):
        assert number in html
    assert "demo" in html and "abc123" in html and "At step 30: loss 0.033" in html
    for control in ("null", "leak", "leak small", "blind"):
        assert f">{control}</th>" in html


def test_sections_that_did_not_run_say_so(tmp_path):
    page = _render(tmp_path, _schema("x"), manifest={})
    assert page.count("Not run.") >= 7  # four tiles, and three sections or more
    assert "not recorded" in page


def test_groups_diversity_and_codes_are_shown(html, results):
    groups = results["evaluation"]["subgroups"]["columns"]["site"]
    level = groups["levels"]["a"]
    assert f"{100 * level['share']['synthetic']:.1f}%" in html
    assert f"{level['scores']['auroc']['tstr']['value']:.3f}" in html
    assert "Other levels: 2" in html and ">tiny<" not in html
    prevalence = results["evaluation"]["codes"]["codes"]["prevalence"]
    assert f"{prevalence['floor']['spearman']:.3f}".replace("-", "−") in html
    coverage = results["evaluation"]["diversity"]["pair_coverage"]["synthetic"]
    assert f"{100 * coverage:.1f}%" in html


def test_flagged_groups_are_named(tmp_path, results):
    columns = results["evaluation"]["subgroups"]["columns"]
    level = {**columns["site"]["levels"]["a"], "flags": ["share"]}
    site = {**columns["site"], "levels": {"a": level}, "flags": ["auroc_gap"]}
    subgroups = {**results["evaluation"]["subgroups"], "columns": {"site": site}}
    evaluation = {**results["evaluation"], "subgroups": subgroups}
    page = _render(tmp_path, results["schema"], evaluation=evaluation)
    assert "site = a: its share of rows differs" in page
    assert "site: wider gap in auroc" in page.lower()


@pytest.mark.parametrize(
    "part",
    ["fidelity", "detection", "utility", "subgroups", "diversity", "codes", "marginals"],
)
def test_skipped_parts_tell_their_reason(tmp_path, results, part):
    reason = "too <few> rows"
    evaluation = {**results["evaluation"], part: {"skipped": reason}}
    page = _render(tmp_path, results["schema"], evaluation=evaluation)
    assert "Skipped: too &lt;few&gt; rows" in page and reason not in page


@pytest.mark.parametrize("count", [1, 121])
def test_tables_of_one_and_of_many_columns(tmp_path, count):
    names = [f"c{at:03}" for at in range(count)]
    schema = Schema((Column("patient", "entity"), *(Column(n, "continuous") for n in names)))
    train, test, synthetic = (_table(schema, seed, 40) for seed in range(3))
    page = _render(tmp_path, schema, evaluation=evaluate(train, test, synthetic, schema))
    assert names[-1] in page
    assert page.count("<figure>") <= 60
    if count > 1:
        assert "48 of 121 columns" in page and "No heatmap" in page


def test_the_way_out_of_noise_is_shown_where_it_is_known(html, tmp_path, results):
    assert html.count("From noise to synthetic rows") == 1 and 'href="#trajectory"' in html
    way = html[html.index('id="trajectory"') :].partition("</section>")[0]
    assert way.count("<img ") == 1 and "512 synthetic rows" in way and "0%, 47%, 100%" in way
    figure = _decoded(way)
    for words in ("Pure noise", "Step 2 of 4", "47% filled in", "Finished", "noise on"):
        assert words in figure
    without = _render(tmp_path, **{**results, "trajectory": None})
    assert "trajectory" not in without.lower() and "From noise" not in without
    dates = {**TRAJECTORY["columns"]["<b>&\"'y"], "dates": True, "edges": [0.0, 400.0, 800.0]}
    alone = {"schema": results["schema"], "manifest": MANIFEST}
    page = _render(tmp_path, **alone, trajectory={**TRAJECTORY, "columns": {"d": dates}})
    assert "1971" in _decoded(page[page.index('id="trajectory"') :].partition("</section>")[0])
    bare = {**TRAJECTORY, "noise": None, "columns": {}}  # codes only
    assert "Grey" not in _render(tmp_path, **alone, trajectory=bare)


SWEEP = {
    "dataset": "demo",
    "command": "experiments/frontier.py --sweep=<b>=1",
    "runs": {
        point: {
            seed: {"detection AUC": auc + seed, "fidelity rate": 90.0 + seed,
                   "attack likelihood_influence AUC": 0.5 + seed,
                   "attack on the model, loss AUC": 0.6}
            for seed in (0.0, 0.02)
        }
        for point, auc in {"default": 0.7, "steps=900": 0.6, "steps=80": 0.9}.items()
    },
}  # fmt: skip


def test_what_other_settings_gave_is_shown_where_it_was_measured(html, tmp_path, results):
    assert "frontier" not in html.lower()
    frontier = summarise_frontier(SWEEP, "demo")
    score = frontier["points"]["steps=80"]["detection AUC"]
    assert score["mean"] == pytest.approx(0.91) and score["error"] == pytest.approx(0.01)
    page = _render(tmp_path, **{**results, "frontier": frontier})
    part = page[page.index('id="frontier"') :].partition("</section>")[0]
    assert 'href="#frontier"' in page and "&lt;b&gt;" in part
    assert "0.910 ± 0.010" in part and "90.01 ± 0.01" in part and ">this run<" in part
    assert "this run</text>" in _decoded(part)  # in the legend
    bare = _render(tmp_path, **{**results, "frontier": frontier, "evaluation": None})
    own = bare[bare.index(">this run<") :].partition("</tr>")[0]
    assert own.count("–") == 3  # a run without scores, and an attack that was not made


def test_points_of_a_knob_are_in_the_order_of_their_values():
    names = ["default", "steps=900", "name=unet", "steps=80", "name=mlp"]
    assert group_points(names) == {
        "default": ["default"],
        "steps": ["steps=80", "steps=900"],
        "name": ["name=unet", "name=mlp"],
    }


BARE = {"dataset": "demo", "runs": {"default": {"0": {"fidelity rate": 99.0}}}}


@pytest.mark.parametrize("record", [{**SWEEP, "dataset": "other"}, {"dataset": "demo"}, BARE])
def test_a_sweep_of_another_table_is_refused(record):
    with pytest.raises(InputError, match=r"record of frontier\.py on the same table"):
        summarise_frontier(record, "demo")


def test_equal_results_give_equal_bytes(tmp_path, results, html):
    assert _render(tmp_path, **results) == html


def test_every_check_of_a_group_has_words():
    assert set(CHECKS) == {"share", "shape", *SCORES}
    assert set(GAPS) == {"equalised_odds_gap", *(f"{score}_gap" for score in SCORES)}


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        (None, "Privacy was not tested"),
        ({"verdict": "LEAK DETECTED"}, "Do not hand it on"),
        ({"verdict": "INCONCLUSIVE"}, "too weak to decide"),
        ({"verdict": "INVALID"}, "failed its own checks"),
        ({"verdict": "NO LEAK DETECTED", "gates": [("PASS", "a"), ("CAUTION", "b")]}, "1 of 2"),
        ({"verdict": "NO LEAK DETECTED", "gates": [("PASS", "a")]}, "Passes the checks"),
        ({"verdict": "NO LEAK DETECTED"}, "Not cleared yet"),
    ],
)
def test_the_first_words_say_whether_it_may_be_handed_on(tmp_path, audit, expected):
    for key, (status, name) in enumerate((audit or {}).get("gates", ())):
        audit["gates"][key] = {"status": status, "name": name, "reason": "r", "why": "w"}
    page = _render(tmp_path, _schema("x"), audit=audit)
    first = page[: page.index("Does it look like the real table?")]
    assert expected in first
    assert ("Passes the checks" in first) == (expected == "Passes the checks")


def test_every_picture_has_words_and_every_link_a_target(html):
    pictures = re.findall(r"<img [^>]*>", html)
    assert len(pictures) > 5 and all(re.search(r'alt="[^"]{20,}"', tag) for tag in pictures)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids)) and set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


def _contrast(first, second):
    """WCAG 2.2 contrast ratio of two colours, each #rrggbb."""

    def luminance(colour):
        parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        parts = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return parts @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_text_colours_stand_out_from_both_grounds():
    colours = dict(re.findall(r"--(\w+): (#\w{6})", CSS))
    assert _contrast("#ffffff", "#000000") == pytest.approx(21)
    assert _contrast("#ffffff", colours["line"]) < 4.5  # a line is no text: the check can fail
    for name in ("ink", "soft", "good", "warn", "bad"):
        for ground in ("#ffffff", colours["wash"]):
            assert _contrast(colours[name], ground) >= 4.5, name


MEASURE = """<script>addEventListener("load", () => { document.title = JSON.stringify({
  clipped: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.innerText.slice(0, 80)),
  broken: [...document.images].filter(e => !e.naturalWidth).length,
  beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  pictures: document.images.length}); });</script>"""


def _measure(page, folder, width):
    """What a browser says of the page: tables cut off, pictures not drawn, width beyond it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    path = folder / "measured.html"
    path.write_text(page.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},2000",
             f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"]  # fmt: skip
    command = [browser, *flags, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert found, done.stderr[-500:]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def test_a_browser_shows_all_of_it(html, tmp_path):
    wide = _measure(html, tmp_path, 1100)
    assert wide["clipped"] == [] and wide["broken"] == 0 and wide["beyond"] == 0
    assert wide["pictures"] == html.count("<img ")
    assert _measure(html, tmp_path, 600)["beyond"] == 0
    long = html.replace("<td>", f"<td>{'x' * 200}", 1)  # power: a cell too wide is seen
    assert len(_measure(long, tmp_path, 1100)["clipped"]) == 1
    assert _measure(html.replace("base64,", "base64,!", 1), tmp_path, 1100)["broken"] == 1
