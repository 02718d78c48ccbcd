"""Trains a model on the training patients of a table.

    python experiments/train.py --run_dir=runs/quickstart

A second call with the same flags resumes from the newest checkpoint, bit-equal to a run that was
never stopped. Data sets: --data; your own table: --data=my.csv --entity=patient --target=died.
--start=runs/other begins with the codec and weights of a run on a like table, larger or public.
On SIGTERM it saves its state and ends with exit status 75: the same command goes on from there.
Several processes share it with --coordinator=host:port of the first, --num_processes and
--process_id, or --coordinator=auto where TPU, SLURM, Open MPI or Kubernetes say all that.
"""

from pathlib import Path

from _cluster import define_cluster_flags, on_cluster
from _common import run_script
from _config import build_config, define_training_flags
from _data import describe_data, read_data, split_table
from _start import define_start_flag, read_start
from _visits import describe_plan

from synthdiff._files import seal, write_json
from synthdiff.data.visits import count_records
from synthdiff.models.config import count_params
from synthdiff.synthesizer import fit
from synthdiff.train.manifest import describe_run, hash_frame
from synthdiff.train.processes import is_first


def train(run_dir: Path) -> None:
    """Writes schema, manifest, checkpoints, metrics and the model into the run folder."""
    config = build_config()
    spec, private = describe_data(), bool(config.dp.epsilon)
    df, schema = read_data(spec)
    parts = split_table(df, schema, spec["split_seed"])
    start, about_start = read_start(spec, parts, schema, private=private)
    table = parts["train"]
    options = {"config": config, "folder": run_dir, "start": start}
    model = fit(table, schema, **options, max_visits=spec["max_visits"])
    if not is_first():
        return
    schema.save(run_dir / "schema.json")
    manifest = describe_run(
        config=model.config.to_json(),
        data_hash=None if model.privacy else hash_frame(df),  # a hash tells who is in the data
        seeds={"train": config.train.seed, "split": spec["split_seed"]},
    )
    rows = {"train": len(table), "all": len(df), "records": count_records(table, schema)}
    facts = {
        "dataset": spec["data"],
        "data": spec,
        **({} if model.privacy else {"rows": rows}),  # of a private run patients alone are public
        "parameters": count_params(model.params),
        "patients": {"train": table[schema.entity].nunique() if schema.entity else len(table)},
        "differential_privacy": model.privacy,
        "start": about_start,
    }
    notes = {"codec_notes": model.codec.notes()}
    write_json(run_dir / "manifest.json", manifest | facts | notes, private=True)
    seal(run_dir, "schema.json", "manifest.json")
    if model.visits:
        print(describe_plan(model.visits, table))
    print(f"trained on {len(table)} rows; model in {run_dir}")


if __name__ == "__main__":
    run_script(on_cluster(train), define_training_flags, define_start_flag, define_cluster_flags)
