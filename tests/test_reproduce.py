"""Tables from records: what they show, what the README may say, and when a retraining differs."""

import csv
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm
from scripts import run_here

from synthdiff._validate import InputError
from synthdiff.eval.protocol.record import summarise
from synthdiff.eval.protocol.score import METRICS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
sys.path.insert(0, str(ROOT / "experiments"))

import _paper_formats as formats  # noqa: E402
import _paper_plots as plots  # noqa: E402
import _paper_tables  # noqa: E402
import _papers as papers  # noqa: E402
import reproduce  # noqa: E402
from _figures import format_tick, use_logarithm  # noqa: E402

TABLES = _paper_tables.TABLES
MEASURED = [name for name, table in TABLES.items() if (RESULTS / table.record).exists()]
RUN = {"fidelity rate": 98.0, "detection AUC": 0.6, "auroc gap, points": 3.0,
       "attack likelihood_influence AUC": 0.52,
       "attack on the model, loss AUC": 0.55, "loss gap": 2.0}  # fmt: skip


def read(name):
    table = TABLES[name]
    return papers.read_grid(table, papers.read_record(table, RESULTS))


def drift(tmp_path, text, results=RESULTS):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    return formats.find_drift(path, TABLES, results)


@pytest.mark.parametrize("name", MEASURED)
def test_every_measured_table_is_written_in_every_format(name, tmp_path):
    formats.write_table(name, TABLES[name], RESULTS, tmp_path)
    figures = {f"{name}.png", f"{name}.svg"} if TABLES[name].plot else set()
    expected = {f"{name}.{suffix}" for suffix in ("csv", "tex", "md")} | figures
    assert {path.name for path in tmp_path.iterdir()} == expected
    grid = read(name)
    rows = list(csv.DictReader((tmp_path / f"{name}.csv").open(encoding="utf-8")))
    assert len(rows) == sum(map(len, grid.values()))
    latex = (tmp_path / f"{name}.tex").read_text(encoding="utf-8")
    assert latex.isascii() and latex.count("\\\\\n") == len(grid) + 1
    compared = papers.compare(grid, grid)
    assert all(row["within"] for row in compared)
    assert bool(compared) == any(line.tolerance for line in TABLES[name].lines)


def test_every_table_with_a_spread_has_a_figure():
    def has_spread(name):
        return any(
            c.std or c.lower is not None for row in read(name).values() for c in row.values()
        )

    assert [n for n in MEASURED if has_spread(n) and not TABLES[n].plot] == []


def draw_scores(monkeypatch, tmp_path, grid, **how):
    """The axes of the figure, by title."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    plots.plot_scores(**how)({}, grid, tmp_path / "figure.png")
    return {axes.get_title(): axes for axes in figures[0].axes if axes.get_title()}


def test_a_figure_shows_the_cells_with_their_spread_beside_the_line(monkeypatch, tmp_path):
    cell = partial(papers.Cell, tolerance=0.1)
    grid = {
        "score": {"real": cell(0.9), "a": cell(0.5, std=0.1), "b": cell(0.7)},
        "floor": {"real": cell(0.3), "a": cell(0.3), "b": cell(0.3)},
        "other": {"real": cell(None), "a": cell(5.0, std=2.0), "b": papers.Cell("")},
        "seconds": {"real": cell(""), "a": cell(5.0, std=1.0)._replace(tolerance=None)},
    }
    drawn = draw_scores(monkeypatch, tmp_path, grid, real="real", lines={"other": "floor"})
    assert list(drawn) == ["score", "other"]
    names = [[text.get_text() for text in axes.get_yticklabels()] for axes in drawn.values()]
    assert names == [["a", "b"], []] and drawn["score"].yaxis_inverted()  # the axis is shared
    ends = [bars.get_segments()[0] for bars in drawn["score"].collections]
    assert np.allclose([end[:, 0] for end in ends], [[0.4, 0.6], [0.7, 0.7]])
    lines = [[x for x, y in line.get_xydata()] for line in drawn["score"].lines]
    assert [0.9, 0.9] in lines and [0.3, 0.3] in [
        list(line.get_xdata()) for line in drawn["other"].lines
    ]


@pytest.mark.parametrize("values", [[0.51, 0.58], [1.0, 20.0], [1e-4, 1e6]])
def test_a_logarithmic_axis_has_a_few_ticks(values):
    axes = Figure().subplots()
    axes.plot(values, values)
    use_logarithm(axes.xaxis, values)
    low, high = axes.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 11
    assert [format_tick(v) for v in (0.05, 20, 1500, 2e6)] == ["0.05", "20", "1.5k", "2M"]


@pytest.mark.parametrize("name", MEASURED)
def test_the_command_of_every_record_names_a_script(name):
    script = json.loads((RESULTS / TABLES[name].record).read_text())["command"].split()[0]
    assert (reproduce.HERE / Path(script).name).is_file()


def test_a_cell_is_the_mean_and_the_spread_over_the_seeds_of_the_record():
    seeds = json.loads((RESULTS / "rand_hie.json").read_text())["scores"]["fidelity rate"]["values"]
    cell = read("rand_hie")["fidelity rate, %"]["synthetic"]
    assert cell.value == pytest.approx(np.mean(seeds)) and cell.seeds == len(seeds)
    assert str(cell) == f"{np.mean(seeds):.2f} ± {np.std(seeds, ddof=1):.2f}"


def test_records_of_the_other_formats_have_the_cells(tmp_path):
    runs = {f"knob={v}": {str(s): {k: x + v + s for k, x in RUN.items()} for s in range(3)}
            for v in (0, 10)}  # fmt: skip
    grid = papers.read_grid(TABLES["frontier"], {"runs": runs})
    assert list(grid) == ["knob=0", "knob=10"] and str(grid["knob=10"]["loss gap, nats"]) == (
        "13.00 ± 1.00"
    )
    record = {"runs": {"default": runs["knob=0"], **runs}}
    TABLES["frontier"].plot(record, grid, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000
    scores = [{name: float(i + 3 * seed) for name in METRICS} for seed in range(2) for i in (0, 2)]
    methods = {
        "real": {"scores": summarise([scores[:2]])},
        "unet": {"scores": summarise([scores[:2], scores[2:]])},
        "csv": {"scores": {name: {"skipped": "no target"} for name in METRICS}},
    }
    row = papers.read_grid(TABLES["adult"], {"methods": methods})[METRICS["mle"]]
    assert row["unet"].value == 2.5 and row["unet"].std == pytest.approx(3 / np.sqrt(2))
    assert row["real"].std == pytest.approx(np.sqrt(2)) and row["real"].seeds == 1
    assert str(row["csv"]) == "skipped"


@pytest.mark.parametrize("page", reproduce.PAGES, ids=lambda page: page.parent.name)
def test_pages_say_what_the_records_say(page):
    assert "<!-- table: " in page.read_text("utf-8")
    assert formats.find_drift(page, TABLES, RESULTS) == ""


def test_a_page_without_markers_is_not_taken_for_a_true_one(tmp_path):
    with pytest.raises(InputError, match=r"README\.md: holds no table of a record"):
        drift(tmp_path, "# synthdiff\n\n| fidelity rate | 12.3 |\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--check", "--pages=nothere.md"], "nothere.md: cannot be read (No such file"),
        (["--write", "--pages=nothere.md"], "nothere.md: cannot be read (No such file"),
        (["--check", f"--pages={RESULTS}"], "results: cannot be read (Is a directory)"),
        (["--check", "--pages="], "--pages=: names no file"),
        (["--check", "--write", "--list"], "--list --check --write: are different things to do"),
        (["--check", "--retrain", "--table=search"], "--check --retrain: are different things"),
        (["--check", "--table=search"], "--table: whole pages are compared"),
        (["--pages=README.md"], "--pages: is for --check and --write"),
        (["--retrain"], "--retrain: names no table"),
        (["--retrain", "--table=speed"], "than one command. Fix: run join_speed.py --measure"),
    ],
)
def test_what_checks_or_measures_nothing_is_refused(words, message, tmp_path):
    done = run_here("reproduce.py", *words, f"--run_dir={tmp_path}")
    assert done.returncode == 1 and message in done.stderr and "Fix: " in done.stderr
    assert done.stdout == ""


def test_a_list_is_of_the_tables_that_are_named():
    done = run_here("reproduce.py", "--list", "--table=search")
    assert done.returncode == 0 and re.findall(r"^(\w+):", done.stdout, re.M) == ["search"]


@pytest.mark.parametrize("name", MEASURED)
def test_a_wrong_number_in_the_readme_is_found(name, tmp_path):
    opening = f"# synthdiff\n\n<!-- table: {name} -->"
    text = formats.fill_blocks(f"{opening}\n<!-- end -->\n\nmore\n", TABLES, RESULTS)
    assert text.startswith(opening) and text.endswith("\n\nmore\n")
    assert drift(tmp_path, text) == ""
    wrong = re.sub(r"\d(?=\D*$)", lambda last: str((int(last[0]) + 1) % 10), text)
    assert wrong != text and "\n-" in drift(tmp_path, wrong)
    assert formats.fill_blocks(wrong, TABLES, RESULTS) == text


def test_a_changed_record_is_found(tmp_path):
    text = formats.fill_blocks("<!-- table: rand_hie --><!-- end -->", TABLES, RESULTS)
    record = json.loads((RESULTS / "rand_hie.json").read_text())
    record["scores"]["fidelity rate"]["mean"] += 0.1
    (tmp_path / "rand_hie.json").write_text(json.dumps(record))
    assert "-| fidelity rate, % |" in drift(tmp_path, text, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: rand_hie -->\n", "no <!-- end -->"),
        ("<!-- table: rand_hie --> <!-- table: search --> <!-- end -->", "no <!-- end -->"),
        ("<!-- table: nothing --><!-- end -->", "Expected table to be one of"),
    ],
)
def test_bad_markers_are_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        drift(tmp_path, text)


def test_a_table_without_record_says_so(tmp_path):
    with pytest.raises(InputError, match="no such record"):
        papers.read_record(TABLES["rand_hie"], tmp_path)
    with pytest.raises(InputError, match="has no 'shape'"):
        papers.find({"scores": {}}, "/scores/shape")


def test_tolerance_holds_a_mean_of_other_seeds_as_often_as_it_says():
    rng, line = np.random.default_rng(0), papers.Line("", 2, 0.0, ())
    old, new = rng.normal(5.0, 0.2, (2, 1000, 3))
    cells = [papers.make_cell(list(values), line) for values in old]
    off = abs(new.mean(axis=1) - old.mean(axis=1))
    share = np.mean([d <= papers.allow(cell, 3) for cell, d in zip(cells, off, strict=True)])
    assert abs(share - papers.SURE) < norm.isf(1e-6) * np.sqrt(0.01 * 0.99 / 1000)
    far = [abs(d + 4.0) <= papers.allow(cell, 3) for cell, d in zip(cells, off, strict=True)]
    assert np.mean(far) < 0.15  # twenty standard deviations off is seldom missed


def test_compare_finds_what_is_off_or_absent_and_leaves_out_seconds():
    grid = read("rand_hie")
    rows = papers.compare(grid, grid)
    assert not any("seconds" in row["score"] for row in rows)
    off = {row: dict(cells) for row, cells in grid.items()}
    cell = off["detection AUC (0.5 is best)"]["synthetic"]
    off["detection AUC (0.5 is best)"]["synthetic"] = cell._replace(value=cell.value + 0.2)
    del off["fidelity rate, %"]
    wrong = [row["score"] for row in papers.compare(grid, off) if not row["within"]]
    assert wrong == ["fidelity rate, %, synthetic", "fidelity rate, %, floor or real",
                     "detection AUC (0.5 is best), synthetic"]  # fmt: skip


def test_retraining_runs_the_command_of_the_record(tmp_path):
    command = "experiments/benchmark_search.py --sizes=600 --queries=50 --record=elsewhere.json"
    line = papers.Line("recall", 2, 0.001, ("/recall_20",))
    table = papers.Table("", "search.json", "/rows", (line,), name="{index}")
    rows = [{"index": "flat", "recall_20": 1.0}, {"index": "hnsw", "recall_20": 0.5}]
    record = {"command": command, "rows": rows}
    (tmp_path / "search.json").write_text(json.dumps(record))
    found = reproduce.retrain(table, tmp_path, tmp_path / "run")
    assert [row["within"] for row in found] == [True, False] and found[1]["measured"] > 0.9
    (tmp_path / "search.json").write_text(json.dumps(record | {"command": "/bin/echo --x"}))
    with pytest.raises(InputError, match="no script /bin/echo"):
        reproduce.retrain(table, tmp_path, tmp_path / "run")
    with pytest.raises(InputError, match="more than one command"):
        reproduce.retrain(table._replace(by_hand="do this"), tmp_path, tmp_path / "run")


def retrain_as(record, table, tmp_path, monkeypatch):
    """`reproduce` with --retrain, where the command has measured what is in `record`."""

    def measure(table, results, folder):
        folder.mkdir()
        (folder / "record.json").write_text(json.dumps(record))
        new = table._replace(record="record.json")
        records = papers.read_record(table, results), papers.read_record(new, folder)
        return papers.compare(*(papers.read_grid(table, record) for record in records))

    out = str(tmp_path / "out")
    flags = SimpleNamespace(
        list=False, retrain=True, write=False, check=False, table=[table], out=out
    )
    monkeypatch.setattr(reproduce, "retrain", measure)
    monkeypatch.setattr(reproduce, "FLAGS", flags)
    monkeypatch.setattr(reproduce, "find_pages", list)
    with pytest.raises(SystemExit) as end:
        reproduce.reproduce(tmp_path)
    return end.value.code, {path.name for path in (tmp_path / "out").iterdir()}


def test_a_retraining_that_compares_nothing_says_so_and_does_not_pass(tmp_path, monkeypatch):
    record = json.loads((RESULTS / "scaling.json").read_text())
    code, files = retrain_as(record, "scaling", tmp_path, monkeypatch)
    assert "nothing to compare" in code and "scaling.csv" in files


def test_a_retraining_writes_what_it_measured(tmp_path, monkeypatch):
    record = json.loads((RESULTS / "rand_hie.json").read_text())
    record["scores"]["fidelity rate"]["mean"] = 12.5
    code, files = retrain_as(record, "rand_hie", tmp_path, monkeypatch)
    assert code == 1  # far from what the committed record says
    assert files == {f"rand_hie.{suffix}" for suffix in ("csv", "tex", "md", "png", "svg")}
    rows = list(csv.DictReader((tmp_path / "out" / "rand_hie.csv").open(encoding="utf-8")))
    assert {"fidelity rate, %", "12.5"} <= {text for row in rows for text in row.values()}


def test_script_checks_a_readme_and_writes_it(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("<!-- table: rand_hie -->\n\n| | 1.0 |\n\n<!-- end -->\n")
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}

    def run(flag):
        command = [sys.executable, ROOT / "experiments/reproduce.py", flag, f"--pages={path}"]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)

    done = run("--check")
    assert done.returncode == 1 and "-| | 1.0 |" in done.stderr and "Fix: --write" in done.stderr
    assert run("--write").returncode == 0 and formats.find_drift(path, TABLES, RESULTS) == ""
