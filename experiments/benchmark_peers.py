"""Records per second beside TabDDPM, TabSyn and TabDiff, all on the same machine.

    pip install torch; python experiments/benchmark_peers.py --record=peers.json

Ours is the compiled sampler with fresh weights. A peer is its denoiser rebuilt in PyTorch from the
published sizes, with fresh weights too. On a CPU neither framework works in parallel, on Linux all
keep to one core, and processor seconds are counted, because other jobs stretch the wall seconds of
threads that wait for one another; on a GPU wall seconds are. All take turns for --rounds, every
other round backwards; a ratio is of one round. Errors are known of Adult, and quoted beside no
other table.
"""

import os
import time
from pathlib import Path

from _common import FLAGS, run_script
from _data import define_data_flags, describe_data, read_data
from _peer_arms import ADULT, keep_to_one_core, make_ours, make_peers, time_rounds
from _results import define_record_flag, describe_origin, write_record
from _tables import format_record
from _timing import take_range
from _torch_arms import choose_device, import_torch
from absl import flags

from synthdiff.data.codec import Codec

SECONDS = {
    "cpu": "of the processor: torch on 1 thread; XLA may pass its work from thread to thread, and "
    "the seconds of all threads are counted",
    "cuda": "of the clock, until the GPU is done; both with TensorFloat-32 products",
}
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
NOTES = {
    "peers": "networks rebuilt from published sizes, weights untrained; timed are evaluations of "
    "the network, not the draws, updates and decoders of their samplers, which is in their favour",
    "cost": "the cost per step is constant: measured on {} evaluations, times the evaluations",
    "brackets": "median (lowest to highest round)",
}
ERRORS = (
    "on Adult, in %, lower is better; peers' as published (printed in arXiv 2602.22586; "
    "TabSyn as rerun by TabDiff's authors), none for other settings; ours of "
    + ", ".join(f"{name} (NFE {nfe})" for nfe, name in ADULT.items())
)


def benchmark(run_dir: Path) -> None:
    torch, started, load = import_torch(), time.time(), os.getloadavg()[0]
    torch.set_num_threads(1)
    device = choose_device(torch)
    if device == "cpu":
        keep_to_one_core()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}"
    df, schema = read_data(describe_data())
    numbers = sum(column.is_numeric for column in schema.features)
    sizes = [df[c.name].nunique(dropna=False) for c in schema.features if not c.is_numeric]
    arms = make_ours(Codec.fit(df, schema))
    arms += make_peers(torch, numbers, sizes, FLAGS.batch, FLAGS.evaluations)
    speeds, rows = time_rounds(arms, FLAGS.rounds, device), []
    for arm, speed in zip(arms, speeds.T, strict=True):
        ratios = {f"ours_{n}_times": take_range(speeds[:, i] / speed) for i, n in enumerate(ADULT)}
        rows.append(arm.about | {"records_per_s": take_range(speed)} | ratios)
        rows[-1] |= arm.errors if FLAGS.data == "adult" else {}
    facts = {"torch": torch.__version__, "seconds": SECONDS[device], "rounds": len(speeds)}
    facts["load of the machine"] = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
    facts |= {name: text.format(FLAGS.evaluations) for name, text in NOTES.items()}
    facts |= {"errors": ERRORS} if FLAGS.data == "adult" else {}
    facts["wall_seconds"] = round(time.time() - started)
    about = describe_origin()
    record, default = about | facts | {"tables": {"networks": rows}}, run_dir / "peers.json"
    write_record(default, record, format_record("Speed of sampling beside peers", record))


def define_flags() -> None:
    FLAGS.set_default("data", "adult")
    flags.DEFINE_integer("batch", 2048, "records per evaluation of a peer", lower_bound=1)
    flags.DEFINE_integer("evaluations", 3, "timed evaluations of a peer in a round", lower_bound=1)
    flags.DEFINE_integer("rounds", 10, "turns of every network", lower_bound=3)
    define_record_flag("peers.json")


if __name__ == "__main__":
    run_script(benchmark, define_data_flags, define_flags)
