"""The ratios of speed that the README shows, from the records that measured them.

    pip install torch
    python experiments/join_speed.py --measure --record=experiments/results/speed.json

--measure runs the commands of this device's records again, on a CPU or a GPU; without it they are
taken as they are.

Each ratio is of two speeds of one run on one machine: records per second of our sampler over those
of a peer's network (benchmark_peers.py), and training steps per second of a plain perceptron with
many steps per dispatch over those of PyTorch (benchmark_torch.py), both with the range over rounds
where arms took turns, which they did not in older records of the latter.
"""

import json
from pathlib import Path

from _common import FLAGS, run_script
from _results import define_record_flag, script_name, write_record
from _retrain import repeat_command
from _tables import format_record
from absl import flags

from synthdiff._files import write_atomically

RESULTS = Path(__file__).parent / "results"
RECORDS = ("peers", "torch")
PLACES = {"cpu": "", "gpu": "gpu_"}  # prefix of the records
NFES = (32, 8)


def read_peers(record: dict) -> dict[str, dict]:
    """How many times as many records ours draws, with the range over rounds."""
    rows = [r for r in record["tables"]["networks"] if not r["network"].startswith("ours")]
    return {
        f"records, ours with NFE {nfe} over {row['network']}": row[f"ours_{nfe}_times"]
        for row in rows
        for nfe in NFES
    }


def read_steps(record: dict) -> dict[str, float | dict]:
    """How many times as many steps JAX makes with the most steps per dispatch."""
    rows = {}
    for row in record["tables"]["steps"]:  # a later arm has more per dispatch
        rows[row["batch"], row["arm"].startswith("torch")] = row

    def compare(ours: dict, torch: dict) -> float | dict:
        return ours.get("times_torch") or ours["steps_per_s"] / torch["steps_per_s"]

    return {
        f"training steps of {batch}, JAX over PyTorch": compare(row, rows[batch, True])
        for (batch, is_torch), row in rows.items()
        if not is_torch
    }


def measure(results: Path, folder: Path) -> None:
    """Measures the records of this device anew, in the place of the old ones."""
    import jax  # here: only to know the device

    prefix = PLACES.get(jax.default_backend(), "")
    names = [f"{prefix}{name}.json" for name in RECORDS]
    for name in names:
        command = json.loads((results / name).read_text())["command"]
        repeat_command(command, folder / Path(name).stem, folder / name)
    for name in names:  # once all are measured, by a commit that nothing has changed
        for path in (folder / name, (folder / name).with_suffix(".md")):
            write_atomically(results / path.name, path.read_bytes())


def join(results: Path) -> dict:
    """The record: a row per comparison, a column per place, and where each comes from."""
    found, sources = {}, {}
    for place, prefix in PLACES.items():
        records = [json.loads((results / f"{prefix}{name}.json").read_text()) for name in RECORDS]
        found[place] = read_peers(records[0]) | read_steps(records[1])
        for record in records:
            text = f"{record['device']}, commit {record['commit']}"
            sources[f"{place}: {record['command']}"] = text
    names = dict.fromkeys(name for ratios in found.values() for name in ratios)
    rows = [{"ratio": name} | {k: found[k].get(name) for k in PLACES} for name in names]
    return sources | {"tables": {"ratios": rows}}


def define_flags() -> None:
    flags.DEFINE_bool("measure", False, "measure peers and frameworks anew on this device first")
    define_record_flag("speed.json")


def main(run_dir: Path) -> None:
    if FLAGS.measure:
        measure(RESULTS, run_dir)
    record = {"command": script_name()} | join(RESULTS)
    write_record(run_dir / "speed.json", record, format_record("Ratios of speed", record))


if __name__ == "__main__":
    run_script(main, define_flags)
