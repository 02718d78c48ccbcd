"""Streams a large table into Parquet shards: records per second and memory as it grows.

    python experiments/benchmark_shards.py --num_rows=10000000 --model.name=mlp --record=shards.json

Of an untrained model of four columns: speed and memory do not depend on weights. Rows: seconds
since the start, with compilation, and peak_mb, the most memory held since the row before. Before,
a process that draws the first shards is killed and called again; "killed" says if files are alike.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from _cases import build_model, encode_cohort
from _common import FLAGS, define_config_flags, read_config, run_script
from _results import define_record_flag
from _tables import report
from _timing import read_host_peak, reset_host_peak
from absl import flags

from synthdiff._files import hash_file, make_folder
from synthdiff.config import Config
from synthdiff.data.shards import claim_shards, count_shards, write_shards
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.models.config import ModelConfig

SETTINGS = {"model": ModelConfig, "sampler": SamplerConfig}
MARKS = (0.05, 0.25, 0.5, 0.75, 1.0)  # shares of the table after which a row is noted
PREFIX, KILLED_AT = 4, 2  # shards drawn twice, and how many are there at the kill


def make_draw(config: Config) -> Callable:
    sample = build_model(encode_cohort(1)[1], config).sample
    return lambda first, count: sample(count, first=first)


def draw_prefix(folder: Path, config: Config, shard_rows: int) -> None:
    """The first shards, in a process of its own."""
    write_shards(folder, make_draw(config), PREFIX * shard_rows, shard_rows, range(PREFIX))


def kill_and_resume(folder: Path, config: Config, shard_rows: int) -> tuple[int, list[str]]:
    """Kills a process amid the first shards, lets a second one end: how many then, all hashes."""
    claim_shards(folder, {})
    context, work = get_context("spawn"), (folder, config, shard_rows)
    killed = context.Process(target=draw_prefix, args=work)
    killed.start()
    while killed.is_alive() and len(list(folder.glob("*.parquet"))) < KILLED_AT:
        time.sleep(0.01)
    killed.kill()
    killed.join()
    there = len(list(folder.glob("*.parquet")))
    with ProcessPoolExecutor(1, context) as second:
        second.submit(draw_prefix, *work).result()  # raises what that raises
    return there, [hash_file(path) for path in sorted(folder.glob("*.parquet"))]


def stream(folder: Path, config: Config, num_rows: int, shard_rows: int) -> list[dict]:
    """Draws the table into the folder; a row per mark."""
    total, done, rows = count_shards(num_rows, shard_rows), 0, []
    claim_shards(folder, {})
    draw, started, before = make_draw(config), time.perf_counter(), time.process_time()
    for until in sorted({max(1, round(share * total)) for share in MARKS}):
        write_shards(folder, draw, num_rows, shard_rows, range(done, until))
        done, drawn = until, min(until * shard_rows, num_rows)
        seconds, used = time.perf_counter() - started, time.process_time() - before
        row = {"rows": drawn, "shards": until, "shard_rows": shard_rows, "seconds": seconds}
        row |= {"processor_s": used, "records_per_processor_s": drawn / used}
        rows.append(row | {"peak_mb": read_host_peak() / 1e6})
        reset_host_peak()
    return rows


def define_flags() -> None:
    for name, part in SETTINGS.items():
        define_config_flags(name, part)
    flags.DEFINE_integer("num_rows", 10_000_000, "records of the table", lower_bound=1)
    flags.DEFINE_integer("shard_rows", 100_000, "records of a shard", lower_bound=1)
    define_record_flag("shards.json")


def benchmark(run_dir: Path) -> None:
    config = Config(**{name: read_config(name, part) for name, part in SETTINGS.items()})
    with TemporaryDirectory(dir=make_folder(run_dir)) as name:
        there, resumed = kill_and_resume(Path(name, "killed"), config, FLAGS.shard_rows)
        rows = stream(Path(name, "table"), config, FLAGS.num_rows, FLAGS.shard_rows)
        paths = sorted(Path(name, "table").glob("*.parquet"))
        facts = {"nfe": config.sampler.nfe, "bytes": sum(path.stat().st_size for path in paths)}
        same = resumed == [hash_file(path) for path in paths[:PREFIX]]
    facts["killed"] = f"{there} of {PREFIX} shards were there; a second call left "
    facts["killed"] += "the same files" if same else "OTHER FILES"
    report(run_dir / "shards.json", "A table in shards", facts, {"shards": rows})


if __name__ == "__main__":
    run_script(benchmark, define_flags)
