"""Environment variables by which a run tells its jobs what it started from."""

PLAN = "WGFPIPE_PLAN"
"""Folder of the plan."""

ROOT = "WGFPIPE_ROOT"
"""Folder that relative paths of data files start from."""

CHECKOUT = "WGFPIPE_CHECKOUT"
"""Checkout of whose sources the run has a copy."""
