"""Environment variables by which a run tells its jobs what it started from, and what they may do without."""

import os

PLAN = "WGFPIPE_PLAN"
"""Folder of the plan."""

ROOT = "WGFPIPE_ROOT"
"""Folder that relative paths of data files start from."""

CHECKOUT = "WGFPIPE_CHECKOUT"
"""Checkout of whose sources the run has a copy."""


def forgo_locks() -> None:
    """Let HDF5 open files where the file system has no locks: Lustre mounted without flock, NFS without its lock daemon.

    Files are whole or absent, so that none is needed. It holds for this process, before it loads HDF5, and for those that it
    starts, unless somebody has decided otherwise.
    """
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
