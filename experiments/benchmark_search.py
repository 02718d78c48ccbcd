"""Times exact and approximate nearest-neighbour search and measures what they miss.

    python experiments/benchmark_search.py --record=experiments/results/search.json

Times are processor seconds of one thread. Rows are like encoded records: 64 features that depend on
10 hidden ones, with some noise. Recall is the share of the true nearest (and 20 nearest) rows that
the index returns, against the flat index. "copies": queries that are rows of the base themselves
and find themselves.
"""

import time
from pathlib import Path

import faiss
import numpy as np
from _common import FLAGS, define_numbers, run_script
from _results import define_record_flag, describe_origin, locate_record, write_record
from _tables import format_table
from absl import flags

from synthdiff.eval.neighbours import build_index

DIMS, HIDDEN, K = 64, 10, 20
LINKS, SEARCH_DEPTH, LARGEST_HNSW = 32, 128, 200_000


def draw_rows(count: int, seed: int) -> np.ndarray:
    """float32 [count, 64]"""
    mix = np.random.default_rng(0).normal(size=(HIDDEN, DIMS))
    rng = np.random.default_rng(seed)
    rows = np.tanh(rng.normal(size=(count, HIDDEN)) @ mix / np.sqrt(HIDDEN))
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


def build(base: np.ndarray, kind: str) -> faiss.Index:
    if kind != "hnsw":
        return build_index(base, kind)
    index = faiss.IndexHNSWFlat(DIMS, LINKS)
    index.hnsw.efSearch = SEARCH_DEPTH
    index.add(base)
    return index


def search(kind: str, base: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, dict]:
    """Row numbers [queries, 20] and the seconds of building and of searching."""
    started = time.process_time()
    index = build(base, kind)
    built = time.process_time()
    ids = index.search(queries, K)[1]
    ended = time.process_time()
    copies = index.search(base[: len(queries)], 1)[1][:, 0] == np.arange(len(queries))
    times = {"build_s": built - started, "per_1000_queries_s": 1000 * (ended - built) / len(ids)}
    return ids, times | {"copies": float(copies.mean())}


def measure(size: int) -> list[dict]:
    base, queries = draw_rows(size, 1), draw_rows(FLAGS.queries, 2)
    exact, rows = None, []
    for kind in ("flat", "ivf", "hnsw"):
        if kind == "hnsw" and size > LARGEST_HNSW:
            continue
        ids, times = search(kind, base, queries)
        exact = ids if exact is None else exact
        shared = [len(np.intersect1d(a, b)) for a, b in zip(ids, exact, strict=True)]
        recall = {"recall_1": np.mean(ids[:, 0] == exact[:, 0]), "recall_20": np.mean(shared) / K}
        rows.append(
            {"rows": size, "index": kind} | times | {k: float(v) for k, v in recall.items()}
        )
        print(rows[-1], flush=True)
    return rows


def define_flags() -> None:
    define_numbers("sizes", "20000,50000,100000,200000,500000,1000000", "rows")
    flags.DEFINE_integer("queries", 2000, "queries per size")
    define_record_flag("search.json")


def benchmark(run_dir: Path) -> None:
    faiss.omp_set_num_threads(1)
    path, started = locate_record(run_dir / "search.json"), time.monotonic()
    rows = [row for size in map(int, FLAGS.sizes) for row in measure(size)]
    record = describe_origin() | {"faiss": faiss.__version__, "threads": 1, "dims": DIMS, "k": K}
    record |= {"queries": FLAGS.queries, "wall_seconds": round(time.monotonic() - started)}
    lines = ["# Nearest-neighbour search: time and recall by index and size", ""]
    lines += [f"- {key}: {value}" for key, value in record.items()]
    lines += ["", *format_table(rows)]
    write_record(path, record | {"rows": rows}, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run_script(benchmark, define_flags)
