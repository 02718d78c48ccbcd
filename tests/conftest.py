"""Tests compile much and compute little, so XLA's slow optimisations are left out.

Scripts that tests run keep no compiled programs in the user's home. Both must be set before JAX
starts; a setting of the caller's own wins.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")
