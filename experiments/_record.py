"""The record of a sweep: models by name and seed, each scored once, by one process or by many."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from _common import FLAGS
from _results import describe_origin, locate_record
from _scores import format_spread, summarise

from synthdiff._files import hold_file, make_folder, read_json, write_json
from synthdiff._progress import track
from synthdiff._validate import input_error
from synthdiff.eval.markdown import format_rows
from synthdiff.train.manifest import hash_frame

Job = tuple[str, str, Callable[[], dict[str, float]]]  # name, seed, and how to get the scores


def open_record(
    run_dir: Path, df: pd.DataFrame, arms: Sequence[str] = (), **facts: object
) -> tuple[Path, dict]:
    """The sweep's record and its file: what an earlier start measured, and what this one is.

    arms: as for `read_arm`; facts: whatever else the scores hang on. Raises InputError where an
    earlier start had another table, other settings, or another arm of the same name: more seeds
    and more arms go on.
    """
    path = locate_record(make_folder(run_dir) / "record.json")
    record = read_record(path)
    about = {"dataset": FLAGS.data, "data_hash": hash_frame(df), **facts}
    texts = {name: flags.strip() for name, _, flags in (arm.partition(":") for arm in arms)}
    if record:
        require_same(path, record, about)
        require_same(path, texts | record.get("arms", {}), texts)
    known = {name: record.get(name, {}) for name in ("arms", "runs")}
    return path, record | about | describe_origin() | known | {"arms": known["arms"] | texts}


def read_record(path: Path) -> dict:
    """What the file holds; nothing where there is none."""
    fix = "remove it, or name another --run_dir or --record"
    return read_json(path, fix) if path.exists() else {}


def require_same(path: Path, earlier: dict, about: dict) -> None:
    """Raises InputError where what was measured `earlier`, into this file, is about others."""
    for name, value in json.loads(json.dumps(about)).items():
        if earlier.get(name) != value:
            problem = f"holds scores of another table or settings ({name!r} differs)"
            raise input_error(str(path), problem, "name another --run_dir or --record")


def run_sweep(
    run_dir: Path, path: Path, record: dict, jobs: Sequence[Job], show: Callable[[dict], None]
) -> None:
    """Does the jobs that neither the file holds nor another process is at.

    show: writes table and plot, whenever every name has a score. Any number of processes may run
    the same sweep in a folder that all see: each takes the next job, also that of one which died.
    """
    if not jobs:
        raise input_error("--seeds", "nothing to do", "name one seed and one setting at least")
    locks = make_folder(run_dir / "locks")
    names, seeds, _ = zip(*jobs, strict=True)

    def add(found: dict[str, dict]) -> None:
        with hold_file(locks / "record", wait=True):
            there = read_record(path)
            record["arms"] = there.get("arms", {}) | record.get("arms", {})
            runs = record["runs"] | there.get("runs", {})
            for name, scores in found.items():
                runs[name] = runs.get(name, {}) | scores
            record["runs"] = {
                name: {seed: runs[name][seed] for seed in sort_keys(runs[name], seeds)}
                for name in sort_keys(runs, names)
            }
            write_json(path, record)
            if set(names) <= set(runs):
                show(record)

    add({})
    for name, seed, score in track(jobs, "models", "model"):
        about = hashlib.sha256(f"{name} seed {seed}".encode()).hexdigest()[:16]
        with hold_file(locks / about) as ours:
            if ours and seed not in read_record(path)["runs"].get(name, {}):
                scores = score()
                print(f"{name} seed {seed}: {scores}", flush=True)
                add({name: {seed: scores}})


def sort_keys(found: dict, order: Sequence[str]) -> list[str]:
    """The keys that are in the order, in it, and then the others."""
    return [key for key in dict.fromkeys((*order, *found)) if key in found]


def format_sweep(title: str, record: dict) -> str:
    """One row per score, one column per name, as mean and standard deviation over seeds."""
    runs = {name: summarise(list(runs.values())) for name, runs in record["runs"].items()}
    scores = list(dict.fromkeys(score for found in runs.values() for score in found))
    lines = [f"# {title} on {record['dataset']}", "", f"    {record['command']}", ""]
    lines += [f"- {key}: {record[key]}" for key in ("commit", "device")]
    counts = sorted({len(found) for found in record["runs"].values()})
    lines += [f"- mean ± standard deviation over {' to '.join(map(str, counts))} seeds", ""]
    rows = []
    for score in scores:
        cells = [format_spread(found[score]) if score in found else "–" for found in runs.values()]
        rows.append([score, *cells])
    lines += format_rows(["score", *runs], rows)
    return "\n".join(lines) + "\n"
