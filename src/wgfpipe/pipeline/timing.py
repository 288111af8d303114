"""How long the work of a stage takes, as its log says and :mod:`wgfpipe.pipeline.overhead` reads."""

import contextlib
import time
from collections.abc import Iterator


@contextlib.contextmanager
def work() -> Iterator[None]:
    """Time what a stage is for, without interpreter start and imports, and log it (``wgfpipe overhead`` adds it up)."""
    start = time.perf_counter()
    yield
    print(f"work seconds: {time.perf_counter() - start:.3f}")
