"""Synthetic patient records from a diffusion model with a U-Net, and the audit that goes with them.

import synthdiff

model = synthdiff.fit(table)  # a pandas DataFrame
synthetic = model.sample(1000)  # a DataFrame with the same columns and dtypes
model.save("runs/mine")
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Synthesizer", "fit", "load"]

if TYPE_CHECKING:
    from synthdiff.synthesizer import Synthesizer, fit, load


def __getattr__(name: str) -> object:
    """Loads JAX only when the model is asked for, so that data and evaluation run without it."""
    if name in __all__:
        from synthdiff import synthesizer

        return getattr(synthesizer, name)
    raise AttributeError(f"module 'synthdiff' has no attribute {name!r}")
