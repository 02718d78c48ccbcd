"""Tutorial: differential privacy end to end, and what must still not be published.

    pip install 'synthdiff[dp]'
    python experiments/tutorials/private.py

One budget, epsilon at delta, bounds what the whole fit tells about any one household, whatever an
attacker knows. The settings are those of a demonstration: the guarantee holds, the table is poor.
"""

import tempfile
from pathlib import Path

import synthdiff
from synthdiff._validate import InputError
from synthdiff.config import Config, ModelConfig, SamplerConfig, TrainConfig
from synthdiff.data.infer import infer_schema
from synthdiff.data.sources import load
from synthdiff.data.table import write_table
from synthdiff.train.dp import DpConfig

# 1. A schema that reads nothing off the data: bounds and categories come from the study's
# codebook and are marked public. One that was inferred is refused, column by column.
df, schema = load("rand_hie")
config = Config(
    model=ModelConfig(name="mlp", hidden=32, depth=1, width=4),
    train=TrainConfig(num_steps=20, batch_size=64, steps_per_call=20),
    sampler=SamplerConfig(num_steps=16),
    dp=DpConfig(epsilon=3.0, delta=1e-5),
)
guessed = infer_schema(df, entity="household")
try:
    synthdiff.fit(df, guessed, config=config, progress=False)
except InputError as error:
    print(f"refused: {str(error)[:160]}...")

# 2. Fit. Histograms for the codec and pair tables share the budget; the network learns from them.
folder = Path(tempfile.mkdtemp())
model = synthdiff.fit(df, schema, config=config, folder=folder / "run", progress=False)

# 3. The ledger: every release, its mechanism, and the sum.
account = model.privacy
for entry in account["ledger"]:
    print("-", entry["step"])
print(f"epsilon {account['epsilon']:.2f} at delta {account['delta']:g}: {account['adjacency']}")
print("not covered:", account["not covered"])
# The claim is put to the test with `python experiments/validate_dp.py --run_dir=...`: an attack on
# invented patients, whose lower bound belongs beside epsilon.

# 4. What may leave: the synthetic table, and what is computed from it alone. Never publish
# `dp_secret`: who knows it can take the noise away. Nor scores that were computed from real rows:
# evaluation and audit spend privacy that no ledger counts.
print("stays here:", *sorted(path.name for path in (folder / "run").iterdir()))
synthetic = model.sample(1000, seed=1)
write_table(synthetic, folder / "synthetic.csv")
print(f"written: {folder / 'synthetic.csv'}")
