"""A lock on a folder that the system lets go of when its holder is killed."""

import errno
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What file systems without locks answer: Lustre mounted without flock, NFS without its lock daemon."""


def claim(path: Path) -> IO[str]:
    """Lock a file for this process, and make it if need be; the lock is held as long as the file returned is open.

    Where the file system has no locks that is said on the terminal, and nothing is locked.

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            file.close()
            raise
        print(f"{path.parent.resolve()} could not be locked ({error.strerror}): start no second run there", file=sys.stderr)
    file.write(f"{socket.gethostname()} {os.getpid()}\n")  # for who asks from another machine, which sees no lock
    file.flush()
    return file
