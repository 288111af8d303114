"""Logs of jobs."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def logged(log: str, aloud: bool = True) -> Iterator[None]:
    """Send a job's output to its log file; a failure is told on the terminal as well, in one paragraph, if ``aloud``."""
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("w", encoding="utf-8", buffering=1) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        try:
            yield
        except BaseException as error:
            traceback.print_exc()
            if not aloud:
                raise
            print(f"{type(error).__name__}: {error}\n(the whole story is in {log})", file=sys.__stderr__)
            raise
