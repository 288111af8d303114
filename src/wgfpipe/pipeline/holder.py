"""Which run is at work in a folder, asked without touching its lock."""

import os
import socket
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """Whether a run is at work in a folder, and where.

    ``host`` is another machine that holds the lock, as far as the file says: whether it lives cannot be asked from here.
    """

    alive: bool
    host: str = ""


def holder_of(lock: Path) -> Holder:
    """Say who holds a lock of :func:`wgfpipe.pipeline.locking.claim`.

    The system lists the locks of this machine by the number of the file. Those of other machines it does not know: a lock
    that names another host (``HOST PROCESS``) is taken as held.
    """
    try:
        number = lock.stat().st_ino
        said = lock.read_text(encoding="utf-8").split()
    except OSError:
        return Holder(alive=False)
    try:
        held = Path("/proc/locks").read_text(encoding="utf-8")
    except OSError:  # not Linux: what the file says is all there is
        return Holder(alive=len(said) == 2 and (said[0] != socket.gethostname() or _lives(int(said[1]))))
    here = any(line.split()[5].rpartition(":")[2] == str(number) for line in held.splitlines() if "->" not in line)
    if here or not said or said[0] == socket.gethostname():
        return Holder(alive=here)
    return Holder(alive=True, host=said[0])


def _lives(process: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
