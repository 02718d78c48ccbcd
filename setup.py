"""Package metadata: the only home of the dependencies."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "synthdiff/__init__.py").read_text()).group(1)

setup(
    name="synthdiff",
    version=VERSION,
    description="Diffusion models for synthetic patient records, with a privacy audit.",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["synthdiff", "synthdiff.*"]),
    install_requires=[
        "absl-py>=2.0",
        "faiss-cpu>=1.8",
        "flax>=0.10",
        "jax>=0.8",
        "matplotlib>=3.8",
        "numpy>=2.0",
        "optax>=0.2.4",
        "orbax-checkpoint>=0.11",
        "pandas>=2.2",
        "pyarrow>=15",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "statsmodels>=0.14",
        "tqdm>=4.66",
    ],
    extras_require={
        # sdmetrics 0.18.0: the last release that scores all rows and pairs and allows pandas 3.
        "benchmark": ["sdmetrics==0.18.0", "xgboost>=2.1"],
        "dp": ["dp-accounting==0.6.0", "jax-privacy==2.0.0"],  # pinned: both still move
        "test": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "ruff>=0.6"],
    },
)
