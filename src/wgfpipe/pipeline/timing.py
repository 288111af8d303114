"""How long the work of a stage takes, as its log says and :mod:`wgfpipe.pipeline.overhead` reads.

Modules that the work imports and kernels that numba reads or compiles meanwhile are loaded anew in every process: they are no
work, and cheap cells have little else. Both are timed where they happen, what lies inside another once.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder


@contextlib.contextmanager
def work() -> Iterator[None]:
    """Time what a stage is for, without interpreter start, imports and compilation, and log it and what is left out."""
    start = time.perf_counter()
    with loading() as loads:
        yield
    whole = time.perf_counter() - start
    print(f"work seconds: {whole - loads.seconds:.3f}")
    print(f"loading seconds: {loads.seconds:.3f}")


class Loads:
    """Seconds in which something was loaded: of loads within loads those of the outermost."""

    def __init__(self) -> None:
        self.seconds, self.depth, self.start = 0.0, 0, 0.0

    def begin(self) -> None:
        """Note that a load begins."""
        if self.depth == 0:
            self.start = time.perf_counter()
        self.depth += 1

    def end(self) -> None:
        """Note that a load ends."""
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.start


@contextlib.contextmanager
def loading() -> Iterator[Loads]:
    """Time imports, and what numba loads or compiles, in the block."""
    loads = Loads()
    finder = _TimedFinder(loads)
    sys.meta_path.insert(0, finder)
    finder.listen()
    try:
        yield loads
    finally:
        sys.meta_path.remove(finder)
        finder.stop()


class _TimedFinder(MetaPathFinder):
    """Find modules as Python does, and time how long they run."""

    def __init__(self, loads: Loads) -> None:
        self.loads = loads
        self.stop = lambda: None
        self.listens = False

    def find_spec(self, name, path, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TimedLoader(spec.loader, self)  # pyright: ignore[reportArgumentType]
        return spec

    def listen(self) -> None:
        """Hear of numba's compiler, which also reads what is compiled already, once numba is there."""
        event = sys.modules.get("numba.core.event")
        if self.listens or event is None or "numba.core.compiler_lock" not in sys.modules:
            return
        self.listens, loads = True, self.loads

        class Listener(event.Listener):
            def on_start(self, event):
                loads.begin()

            def on_end(self, event):
                loads.end()

        listener = Listener()
        event.register("numba:compiler_lock", listener)
        self.stop = lambda: event.unregister("numba:compiler_lock", listener)


class _TimedLoader(Loader):
    """Run a module as its own loader does, which it has again from then on."""

    def __init__(self, loader, finder: _TimedFinder) -> None:
        self.loader, self.finder = loader, finder

    def create_module(self, spec):
        self.finder.loads.begin()
        try:
            return self.loader.create_module(spec)
        finally:
            self.finder.loads.end()

    def exec_module(self, module):
        assert module.__spec__ is not None  # the import system sets it before it runs a module
        module.__spec__.loader = module.__loader__ = self.loader
        self.finder.loads.begin()
        try:
            self.loader.exec_module(module)
        finally:
            self.finder.loads.end()
        self.finder.listen()
