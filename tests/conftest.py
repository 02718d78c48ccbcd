"""Tests compile much and compute little, so XLA's slow optimisations are left out.

Scripts that tests run keep no compiled programs in the user's home. Both must be set before JAX
starts; a setting of the caller's own wins.
"""

import os

import pytest
from absl import flags

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")


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
