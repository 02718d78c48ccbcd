"""Tests compile much and compute little, so XLA's slow optimisations are left out.

This must be set before JAX starts. A flag of the caller's own wins.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
