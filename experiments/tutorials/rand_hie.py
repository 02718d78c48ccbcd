"""Tutorial: the RAND Health Insurance Experiment from Python: learn, draw, condition, fill, judge.

    python experiments/tutorials/rand_hie.py

Needs no file: statsmodels carries the table. The settings are those of a demonstration; leave out
`config` for a model worth using.
"""

import tempfile
from pathlib import Path

import pandas as pd

import synthdiff
from synthdiff.config import Config, ModelConfig, SamplerConfig, TrainConfig
from synthdiff.data.sources import load
from synthdiff.data.split import split_frame
from synthdiff.data.table import write_table
from synthdiff.eval.audit import audit
from synthdiff.eval.evaluate import evaluate

# 1. A row is a year of one person. The entity is the household: relatives share income and plan.
df, schema = load("rand_hie")
shares = {"train": 0.06, "test": 0.03, "reference": 0.03}  # a demonstration: few households
parts = split_frame(df, schema.entity, shares | {"rest": 0.88}, seed=0)
train, test, reference = (parts[name] for name in shares)

# 2. Learn, keep, read again. No code runs when a model is loaded.
config = Config(
    model=ModelConfig(name="mlp", hidden=64, depth=1, width=8),
    train=TrainConfig(num_steps=200, batch_size=128, steps_per_call=50),
    sampler=SamplerConfig(num_steps=16),
)
folder = Path(tempfile.mkdtemp())
synthdiff.fit(train, schema, config=config, progress=False).save(folder / "model")
model = synthdiff.load(folder / "model")

# 3. Draw a table; draw women only; draw what is missing given what is there.
synthetic = model.sample(len(train), seed=1)
women = model.sample(5, seed=2, where={"female": 1})
print(women[["female", "xage", "health", "mdvis"]])
known = pd.DataFrame({"female": [0, 1], "xage": [30.0, 60.0], "income": [5000.0, 20_000.0]})
print(model.impute(known, seed=3)[["female", "xage", "income", "mdvis"]])

# 4. Is it of use? Each score has its floor: what a second real sample reaches.
scores = evaluate(train, test, synthetic, schema)
floor = scores["fidelity"]["floor"]["rate"]
print(f"fidelity {scores['fidelity']['rate']:.1f} %, real households {floor:.1f} %")

# 5. Does it give anyone away? So few households cannot show that it does not.
found = audit(train, test, reference, synthetic, schema)
print(f"audit: {found['verdict']}")
print(*found["reasons"], sep="\n")
write_table(synthetic, folder / "synthetic.csv")
print(f"written: {folder / 'synthetic.csv'}")
