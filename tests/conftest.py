"""Tests compile much and compute little, so XLA's slow optimisations are left out.

The emitters of fusions take half of the time to compile; XLA of jax 0.11 has no flag for them.

Compiled programs are kept while the tests run, for the scripts that they start and for each other,
and not in the user's home. Both must be set before JAX starts; a setting of the caller's own wins.
"""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

import pytest
from absl import flags

FAST = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    FAST.append("--xla_cpu_use_fusion_emitters=false")
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
