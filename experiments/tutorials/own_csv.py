"""Tutorial: from your own CSV file to a judged synthetic table, in Python.

    python experiments/tutorials/own_csv.py visits.csv

Without a file it makes a small one. The settings are those of a demonstration and take under a
minute; leave out `config` for a model worth using.
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
from synthdiff.data.infer import infer_schema
from synthdiff.data.split import split_frame
from synthdiff.data.table import read_table, write_table
from synthdiff.eval.evaluate import evaluate

# 0. A table: one row per visit, several visits per patient. Yours has other columns.
if len(sys.argv) > 1:
    path = Path(sys.argv[1])
else:
    rng, path = np.random.default_rng(0), Path(tempfile.mkdtemp()) / "visits.csv"
    age = np.repeat(rng.integers(18, 90, 300), 2)
    died = rng.random(600) < age / 200
    made = {"patient": np.arange(600) // 2, "age": age, "died": died}
    write_table(pd.DataFrame(made | {"dose": (age + rng.normal(0, 9, 600)).round()}), path)

# 1. Read it and say what the columns are. The entity is the patient: print and correct the rest.
df = read_table(path)
schema = infer_schema(df, entity="patient", target="died")
print({column.name: column.kind for column in schema.columns})
for warning in require_healthy(df, schema):
    print(warning)
df = conform(df, schema)

# 2. Keep patients aside, whole: what the model never saw is the yardstick.
parts = split_frame(df, "patient", {"train": 0.7, "test": 0.3}, seed=0)
train, test = parts["train"], parts["test"]

# 3. Learn and draw.
config = Config(
    model=ModelConfig(name="mlp", hidden=64, depth=1, width=8),
    train=TrainConfig(num_steps=200, batch_size=128, steps_per_call=50),
    sampler=SamplerConfig(num_steps=16),
)
model = synthdiff.fit(train, schema, config=config, progress=False)
synthetic = model.sample(len(train), seed=1)

# 4. Judge it beside real patients. Before it leaves your house, audit it too: see audit.py.
scores = evaluate(train, test, synthetic, schema)
floor = scores["fidelity"]["floor"]["rate"]
print(f"fidelity {scores['fidelity']['rate']:.1f} %, real patients {floor:.1f} %")
write_table(synthetic, path.with_name("synthetic.csv"))
print(f"written: {path.with_name('synthetic.csv')}")
