"""Tutorial: a table without patients. Extramarital affairs, one row a respondent, no entity.

    python experiments/tutorials/another_domain.py

The table is statsmodels' `fair` (a magazine's survey of 1974). Nothing in synthdiff asks for
medicine: without an entity each row is its own unit of privacy. Where rows belong together, such as
loans of one customer, name the customer. The settings are those of a demonstration.
"""

import tempfile
from pathlib import Path

from statsmodels.datasets import fair

import synthdiff
from synthdiff.config import Config, ModelConfig, SamplerConfig, TrainConfig
from synthdiff.data.conform import conform
from synthdiff.data.doctor import require_healthy
from synthdiff.data.infer import infer_schema
from synthdiff.data.split import split_frame
from synthdiff.data.table import write_table
from synthdiff.eval.evaluate import evaluate

# 1. The columns are read off the table. `edit` corrects a guess: a rating has an order.
df = fair.load_pandas().data.sample(1500, random_state=0, ignore_index=True)
schema = infer_schema(df, target="religious")
schema = schema.edit("rate_marriage", kind="ordinal", categories=(1.0, 2.0, 3.0, 4.0, 5.0))
print({column.name: column.kind for column in schema.columns})
for warning in require_healthy(df, schema):
    print(warning)
df = conform(df, schema)

# 2. Rows are split one by one, since nobody has two. (With an entity: its column instead of None.)
parts = split_frame(df, None, {"train": 0.7, "test": 0.3}, seed=0)
train, test = parts["train"], parts["test"]

# 3. Learn and draw.
config = Config(
    model=ModelConfig(name="mlp", hidden=64, depth=1, width=8),
    train=TrainConfig(num_steps=200, batch_size=128, steps_per_call=50),
    sampler=SamplerConfig(num_steps=16),
)
model = synthdiff.fit(train, schema, config=config, progress=False)
synthetic = model.sample(len(train), seed=1)

# 4. Judge: what fell below five respondents is never drawn, and the floor is a second real sample.
print(*model.codec.notes(), sep="\n")
scores = evaluate(train, test, synthetic, schema)
floor = scores["fidelity"]["floor"]["rate"]
print(f"fidelity {scores['fidelity']['rate']:.1f} %, real respondents {floor:.1f} %")
path = Path(tempfile.mkdtemp()) / "synthetic.csv"
write_table(synthetic, path)
print(f"written: {path}")
