"""How far a loop is, on a terminal and in a log."""

import sys
import time


class Progress:
    """Progress of a loop: a bar with the time left on a terminal, a readable line now and then in the log."""

    def __init__(self, what: str, every: float = 5.0) -> None:
        self.what, self.every = what, every
        self.start = self.last = time.monotonic()
        self.bar = None

    def __call__(self, done: int, in_all: int) -> None:
        """Note that ``done`` of ``in_all`` parts are done."""
        now = time.monotonic()
        if sys.__stderr__ is not None and sys.__stderr__.isatty():
            if self.bar is None and now - self.start > 1.0:
                from tqdm import tqdm

                self.bar = tqdm(total=in_all, desc=self.what, file=sys.__stderr__, leave=False, initial=done)
            elif self.bar is not None:
                self.bar.update(done - self.bar.n)
        if now - self.last >= self.every or done == in_all:
            elapsed = now - self.start
            left = elapsed * (in_all - done) / max(done, 1)
            print(f"{self.what}: {done}/{in_all} ({done / in_all:.0%}), {elapsed:.1f} s, about {left:.0f} s left")
            self.last = now
        if done == in_all and self.bar is not None:
            self.bar.close()
