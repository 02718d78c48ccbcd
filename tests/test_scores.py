"""Headline numbers of runs: what is read from a run's files, and its spread over runs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from synthdiff.data.sources.simulate import simulate_cohort
from synthdiff.eval.codes import evaluate_codes
from synthdiff.eval.markdown import format_rows

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from _scores import format_spread, read_scores, summarise

AUC = {"auc": {"value": 0.6}, "tpr_at_1pct_fpr": {"value": 0.02}}


@pytest.fixture
def run_dir(tmp_path):
    df, schema, _ = simulate_cohort(3000, 40, 0)
    codes = evaluate_codes(df[:1000], df[1000:2000], df[2000:], schema)
    part = {"shape": 98.0, "trend": {"skipped": "one column"}, "rate": 97.0}
    evaluation = {
        "fidelity": part | {"floor": part | {"rate": 99.0}},
        "detection": {"skipped": "too few rows"},
        "utility": {"mean": {"tstr": {"auroc": 0.7}, "trtr": {"auroc": 0.75}}},
        "temporal": {
            "distances": {"visits": {}, "gaps": {}, "lag dose": {}},
            "flags": ["lag dose", "detection"],
            "constancy": {"sex": {"synthetic": 1.0}, "site": {"synthetic": 0.9}},
            "detection": {"auc": {"value": 0.7}, "floor": {"value": 0.5}},
        },
        "codes": codes | {"other": {"skipped": "fewer than 3 codes"}},
    }
    found = {"evaluation": evaluation, "audit": {"attacks": {"distance": AUC}}}
    for name, content in (found | {"timings": {"train": 9.5}}).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_scores_are_those_of_the_files_floors_beside_them(run_dir):
    scores = read_scores(run_dir)
    codes = json.loads((run_dir / "evaluation.json").read_text())["codes"]["codes"]
    assert scores["fidelity rate"] == 97.0 and scores["fidelity rate, floor"] == 99.0
    assert scores["shape"] == 98.0 and "trend" not in scores and "detection AUC" not in scores
    assert scores["utility tstr auroc"] == 0.7 and scores["attack distance AUC"] == 0.6
    assert scores["seconds train"] == 9.5
    assert scores["codes prevalence R2"] == codes["prevalence"]["synthetic"]["r2"] > 0.9
    assert scores["codes cooccurrence R2, floor"] == codes["cooccurrence"]["floor"]["r2"]
    assert scores["codes cooccurrence R2, apart"] < scores["codes cooccurrence R2"]
    assert scores["codes models tstr AUC"] == codes["models"]["tstr_auc"]
    assert not [name for name in scores if name.startswith("other")]
    assert all(isinstance(value, float) for value in scores.values())


def test_spread_is_that_of_a_sample_and_none_of_one_run():
    runs = [{"auc": value} for value in (0.5, 0.6, 0.7)]
    found = summarise(runs)["auc"]
    assert found["mean"] == pytest.approx(0.6) and found["std"] == pytest.approx(0.1)
    assert found["values"] == [0.5, 0.6, 0.7]
    alone = summarise(runs[:1])["auc"]
    assert alone["std"] is None and np.isclose(alone["mean"], 0.5)


def test_a_spread_is_shown_where_there_is_one():
    scores = summarise([{"auc": 0.51234, "size": 2442978}, {"auc": 0.53234, "size": 2442978}])
    assert format_spread(scores["auc"]) == "0.5223 ± 0.014"
    assert format_spread(scores["size"]) == "2442978"
    assert format_spread(summarise([{"auc": 0.51234}])["auc"]) == "0.5123"


def test_a_table_in_markdown_has_text_to_the_left_and_numbers_to_the_right():
    rows = [["a", "x", "1"], ["b", "", "2"]]
    assert format_rows(["name", "on", "score"], rows, left=2) == [
        "| name | on | score |", "| --- | --- | ---: |", "| a | x | 1 |", "| b |  | 2 |"
    ]  # fmt: skip
    assert format_rows(["", "score"], []) == ["| | score |", "| --- | ---: |"]


def test_scores_of_visits_count_what_strays_beyond_real_patients(run_dir):
    scores = read_scores(run_dir)
    found = {name: value for name, value in scores.items() if name.startswith("visits")}
    assert found == {
        "visits measures": 3,
        "visits measures, flagged": 1,
        "visits detection AUC": 0.7,
        "visits detection AUC, floor": 0.5,
        "visits, least constant column": 0.9,
    }
