"""Tutorial: admissions in the layout of MIMIC-IV, with sets of diagnoses and measurements.

    python experiments/tutorials/mimic.py /data/mimic

MIMIC is behind a credential (https://physionet.org), so without a folder this writes a small one in
the same layout, made up. The settings are those of a demonstration; leave out `config` for a model
worth using.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import synthdiff
from synthdiff.config import Config, ModelConfig, SamplerConfig, TrainConfig
from synthdiff.data.conform import conform
from synthdiff.data.doctor import require_healthy
from synthdiff.data.sources import load
from synthdiff.data.split import split_frame
from synthdiff.data.table import write_table
from synthdiff.eval.evaluate import evaluate

scratch = Path(tempfile.mkdtemp())


def write_made_up(folder: Path, patients: int = 300) -> Path:
    """hosp/patients, admissions, diagnoses_icd and labevents as MIMIC-IV has them."""
    rng, hosp = np.random.default_rng(0), folder / "hosp"
    hosp.mkdir(parents=True)
    ids = np.arange(patients)
    age, died = rng.integers(18, 90, patients), rng.random(2 * patients) < 0.1
    people = {"subject_id": ids, "gender": rng.choice(["F", "M"], patients), "anchor_age": age}
    pd.DataFrame(people | {"anchor_year": 2150}).to_csv(hosp / "patients.csv", index=False)
    stay = np.arange(2 * patients)  # two admissions each
    start = pd.Timestamp("2150-01-01") + pd.to_timedelta(rng.integers(0, 700, len(stay)), "D")
    stays = {"subject_id": stay // 2, "hadm_id": stay, "admittime": start}
    stays["dischtime"] = start + pd.to_timedelta(rng.integers(6, 240, len(stay)), "h")
    stays["admission_type"] = rng.choice(["URGENT", "EW EMER."], len(stay))
    stays["discharge_location"] = np.where(died, "DIED", "HOME")
    stays["insurance"] = rng.choice(["Medicare", "Medicaid", "Other"], len(stay))
    stays["race"] = np.repeat(rng.choice(["WHITE", "BLACK", "ASIAN"], patients), 2)
    table = pd.DataFrame(stays | {"hospital_expire_flag": died.astype(int)})
    table.to_csv(hosp / "admissions.csv", index=False)
    codes = pd.DataFrame({"subject_id": stay // 2, "hadm_id": stay, "icd_version": 10})
    drawn = [codes.assign(icd_code=rng.choice(["I10", "E119", "N179"], len(stay))) for _ in "ab"]
    pd.concat(drawn).to_csv(hosp / "diagnoses_icd.csv", index=False)
    measured = rng.random(len(stay)) < 0.8
    labs = {"subject_id": stay // 2, "hadm_id": stay, "itemid": 50912, "charttime": start}
    labs["valuenum"] = np.round(rng.lognormal(0.1 + 0.5 * died, 0.3), 1)  # creatinine, mg/dL
    pd.DataFrame(labs)[measured].to_csv(hosp / "labevents.csv", index=False)
    return folder


# 1. One row is an admission; `unit="patient"` makes it a person, `unit="visits"` a visit of one.
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else write_made_up(scratch / "mimic")
df, schema = load("mimic", folder)
print({column.name: column.kind for column in schema.columns})
for warning in require_healthy(df, schema):
    print(warning)
df = conform(df, schema)
parts = split_frame(df, "subject_id", {"train": 0.7, "test": 0.3}, seed=0)
train, test = parts["train"], parts["test"]

# 2. Every code is a column of its own to the model, and comes back as one cell, "10:E119;10:I10".
config = Config(
    model=ModelConfig(name="mlp", hidden=64, depth=1, width=8),
    train=TrainConfig(num_steps=200, batch_size=128, steps_per_call=50),
    sampler=SamplerConfig(num_steps=16),
)
model = synthdiff.fit(train, schema, config=config, progress=False)
synthetic = model.sample(len(train), seed=1)
print(synthetic[["gender", "age", "admission_type", "diagnoses"]].head())

# 3. Judge. The data use agreement of MIMIC binds what is learnt from it too: audit before sharing.
scores = evaluate(train, test, synthetic, schema)
floor = scores["fidelity"]["floor"]["rate"]
print(f"fidelity {scores['fidelity']['rate']:.1f} %, real patients {floor:.1f} %")
write_table(synthetic, scratch / "synthetic.csv")
print(f"written: {scratch / 'synthetic.csv'}")
