"""Trains a student on what a finished run draws, for tables of one to four network evaluations.

    python experiments/distill.py --run_dir=runs/student --teacher=runs/quickstart \\
        --num_records=200000 --model.components=8 --sampler.num_steps=4

The student's run is like any other: sample.py, evaluate.py and audit.py take the teacher's table
and split. A second call with the same flags resumes. Takes the config flags of train.py, but for
those of the table, which is the teacher's.
"""

from dataclasses import asdict
from pathlib import Path

from _common import FLAGS, run_script
from _config import build_config, define_setting_flags
from _stages import read_manifest
from absl import flags

from synthdiff import load
from synthdiff._files import seal, write_json
from synthdiff.data.schema import Schema
from synthdiff.distill import distill
from synthdiff.models.config import count_params
from synthdiff.train.manifest import describe_run


def define_flags() -> None:
    flags.DEFINE_string("teacher", None, "folder of the finished run that draws", required=True)
    flags.DEFINE_integer("num_records", 200_000, "records to draw and learn from", lower_bound=1)
    define_setting_flags()


def main(run_dir: Path) -> None:
    """Writes the model into the run folder, and manifest and schema as train.py does."""
    folder = Path(FLAGS.teacher)
    teacher, theirs = load(folder), read_manifest(folder)
    student = distill(teacher, num_records=FLAGS.num_records, config=build_config(), folder=run_dir)
    Schema.load(folder / "schema.json").save(run_dir / "schema.json")
    manifest = describe_run(
        config=student.config.to_json(),
        data_hash=theirs["data_sha256"],
        seeds=theirs["seeds"] | {"train": student.config.train.seed},
    )
    about = {
        "records": FLAGS.num_records,
        "sampler": asdict(teacher.config.sampler),
        "command": theirs["command"],
    }
    facts = {"parameters": count_params(student.params), "teacher": about}
    write_json(run_dir / "manifest.json", theirs | manifest | facts, private=True)
    seal(run_dir, "schema.json", "manifest.json")
    nfe = student.config.sampler.nfe
    print(f"learnt from {FLAGS.num_records} drawn records; NFE {nfe}; model in {run_dir}")


if __name__ == "__main__":
    run_script(main, define_flags)
