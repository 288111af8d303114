"""Compilation of kernels by numba, kept on disk where there is a place for it."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(*, fastmath: bool | set[str] = False) -> Callable[[Callable], Any]:
    """Make a decorator that compiles a function, with floating-point errors as in numpy.

    ``fastmath`` names what of IEEE arithmetic is relaxed. It is always told: a function that leaves it open takes it from the
    function that happens to call it first, and then its last bit depends on what a process did before.

    The result is kept beside the source or in the user's cache. A read-only installation without a writable home has neither:
    numba refuses to keep it there, and each process compiles for itself.
    """

    def decorate(function: Callable) -> Any:
        try:
            return numba.njit(cache=True, error_model="numpy", fastmath=fastmath)(function)
        except RuntimeError:  # no writable folder, all that numba has to say before it has compiled anything
            return numba.njit(error_model="numpy", fastmath=fastmath)(function)

    return decorate
