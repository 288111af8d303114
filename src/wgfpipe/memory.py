"""Keep freed memory: on Linux the page faults of fresh arrays cost more than the arithmetic on them.

glibc gives large blocks back to the system when they are freed and gets them back page by page, zeroed, at the next
allocation. In loops over arrays of 100 kB to 30 MB, all of this package, that is half of the time or more.
"""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of mallopt(3)


@cache
def keep_pages() -> bool:
    """Tell the allocator of this process to keep what is freed, once; return whether it could be told.

    Only the speed of the process changes, and the memory it holds between allocations: never more than its peak.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    settings = ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))
    return all(mallopt(name, value) == 1 for name, value in settings)
