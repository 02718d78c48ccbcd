"""Flags that would change nothing are refused, and scores of others' tables miss a run's own."""

import sys
from pathlib import Path

import pytest
from absl import flags
from scripts import run_here

from synthdiff._validate import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import audit
import evaluate
import judge
import split
from _common import parse_choices
from _config import define_training_flags
from _given import alone

FLAGS = flags.FLAGS
CSV = [f"--{part}_csv={part}.csv" for part in evaluate.PARTS]


@pytest.fixture
def stage():
    """`run(*flags)` of evaluate.py: where it came to work; define: the flags of another script."""
    before = set(FLAGS)

    def run(*words, define=evaluate.define_flags):
        flags.DEFINE_string("run_dir", "runs/quickstart", "")
        define()
        reached = []
        try:
            FLAGS(["evaluate", *words])
            alone(reached.append, evaluate.PARTS)(Path(FLAGS.run_dir))
        finally:
            for name in set(FLAGS) - before:
                delattr(FLAGS, name)
        return reached

    return run


def test_tables_of_a_run_and_tables_that_flags_name_are_scored(stage):
    assert stage() == [Path("runs/quickstart")]
    assert stage(*CSV, "--run_dir=out", "--entity=id", "--visits=day") == [Path("out")]


@pytest.mark.parametrize(
    "word", ["--entity=id", "--schema=s.json", "--sensitive=sex", "--visits=d"]
)
def test_what_the_manifest_says_is_refused_of_a_run(stage, word):
    with pytest.raises(InputError, match=r"the run has its own. Fix: leave it out"):
        stage(word)


def test_a_flag_of_training_is_refused_always(stage):
    for words in ([], [*CSV, "--run_dir=out"]):
        with pytest.raises(InputError, match="--max_visits: counts in training only"):
            stage(*words, "--max_visits=3")
    for word in ("--data=adult", "--split_seed=1", "--data_dir=x", "--reference_csv=a.csv"):
        with pytest.raises(flags.Error, match="Unknown command line flag"):
            stage(word)


def test_a_flag_at_its_default_is_refused_too_if_it_is_given(stage):
    with pytest.raises(InputError, match="--sensitive"):
        stage("--sensitive=")


def test_scores_of_other_tables_do_not_go_over_those_of_a_run(stage):
    with pytest.raises(InputError, match="--run_dir: not given, and runs/quickstart is for"):
        stage(*CSV)


@pytest.mark.parametrize(("script", "folder"), [(judge, "runs/judged"), (split, "runs/split")])
def test_scripts_that_train_nothing_have_a_folder_of_their_own(stage, script, folder):
    def define():
        script.define_flags()
        if script is split:
            evaluate.define_csv_flags(evaluate.PARTS)

    assert stage(define=define) == [Path(folder)]


def test_stages_of_a_pipeline_take_the_flags_of_its_training(stage, tmp_path):
    """The check is of the script: pipeline.py runs the stage itself, with --entity for training."""

    def define():
        define_training_flags()
        evaluate.define_csv_flags()
        FLAGS(["pipeline", "--entity=id"])
        for run in (evaluate.run_evaluation, audit.run_audit):
            with pytest.raises(InputError, match=r"manifest.json.*Fix: run experiments/train\.py"):
                run(tmp_path)

    with pytest.raises(InputError, match="--entity"):
        stage("--entity=id", define=define)


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("doctor.py", ["--data="], "--data=: names no table. Fix: name a data set or a CSV"),
        ("doctor.py", ["--data={csv}", "--schema_out={folder}"], "Fix: name a file; this is a f"),
        ("split.py", ["--data={csv}", "--run_dir={csv}"], "Fix: name a folder; this is a file"),
        ("split.py", ["--data={csv}", "--run_dir={csv}/in"], "before the last / is a file"),
        ("evaluate.py", ["--train_csv={csv}", "--test_csv={csv}", "--synthetic_csv={csv}",
                         "--run_dir={csv}"], "Fix: name a folder; this is a file"),
    ],
)  # fmt: skip
def test_a_file_in_the_place_of_a_folder_is_said_to_be_one(script, words, message, tmp_path):
    places = {"csv": tmp_path / "t.csv", "folder": tmp_path}
    places["csv"].write_text("age\n" + "".join(f"{i % 40}\n" for i in range(300)))
    done = run_here(script, *(word.format(**places) for word in words))
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert "disk space" not in done.stderr and list(tmp_path.iterdir()) == [places["csv"]]


def test_values_of_a_flag():
    assert parse_choices("model.width=8,16") == ("model.width", ["8", "16"])
    assert parse_choices("balance=a:F=1,b") == ("balance", ["a:F=1", "b"])
    assert parse_choices("model.width") == parse_choices("model.width=") == ("model.width", [""])
