"""Examines a table before any training: the kind of each column, and what is wrong.

    python experiments/doctor.py --data=visits.csv --entity=patient_id --schema_out=schema.json

Every finding names the column, the value and the fix. Ends with exit code 1 if one is an error, of
those that training would stop at. --schema_out writes the schema, to be edited and passed on with
--schema.
"""

from pathlib import Path

from _common import FLAGS, run_script
from _data import define_data_flags, describe_data, load_table
from absl import flags

from synthdiff.data.doctor import examine, format_findings


def define_flags() -> None:
    flags.DEFINE_string("schema_out", None, "file for the schema, known or inferred")


def run_doctor(run_dir: Path) -> None:
    df, schema = load_table(describe_data())
    print(f"{len(df)} rows")
    width = max(map(len, schema.names))
    roles = {schema.target: "target", **dict.fromkeys(schema.sensitive, "sensitive")}
    for column in schema.columns:
        print(f"  {column.name:<{width}}  {column.kind:<12} {roles.get(column.name, '')}".rstrip())
    if FLAGS.schema_out:
        schema.save(Path(FLAGS.schema_out))
    findings = examine(df, schema)
    print(format_findings(findings))
    if any(finding.level == "error" for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    run_script(run_doctor, define_data_flags, define_flags)
