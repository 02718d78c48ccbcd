"""Tests compile much and compute little, so XLA's slow optimisations are left out.

The emitters of fusions take half of the time to compile; XLA of jax 0.11 has no flag for them. A
program in one piece compiles a tenth sooner than in pieces for many cores.

Compiled programs are kept while the tests run, for the scripts that they start and for each other,
and not in the user's home. Both must be set before JAX starts; a setting of the caller's own wins.
"""

import atexit
import os
import shutil
import tempfile
from functools import partial
from importlib.metadata import version
from unittest.mock import patch

import pytest
from absl import flags

FAST = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    FAST += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
os.environ.setdefault("XLA_FLAGS", " ".join(FAST))
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set in the workers of pytest-xdist
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="synthdiff-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(scope="module")
def script_flags(request):
    """The flags of the test module's SCRIPT at their defaults, and none of them after it."""
    before = set(flags.FLAGS)
    request.module.SCRIPT.define_flags()
    flags.FLAGS.mark_as_parsed()
    yield
    flags.FLAGS.unparse_flags()
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


@pytest.fixture(scope="module")
def coarse_accounts():
    """Epsilons from a grid of losses ten times as coarse: as true a bound, in a tenth of the time.

    For tests of what a private run does; test_dp.py compares the accounts themselves.
    """
    from synthdiff.train import privacy_engine

    found = privacy_engine._accountants()
    coarse = found | {"pld": partial(found["pld"], value_discretization_interval=1e-3)}
    privacy_engine.calibrate_sigma.cache_clear()  # it forgets by which grid it calibrated
    with patch.object(privacy_engine, "_accountants", lambda: coarse):
        yield
    privacy_engine.calibrate_sigma.cache_clear()
