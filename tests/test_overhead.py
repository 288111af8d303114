"""Work is what a stage is for: what a process loads to do it does not count."""

import re
import subprocess
import sys
import time

import pytest

from wgfpipe.pipeline.overhead import describe
from wgfpipe.pipeline.timing import loading, work


def test_imports_are_loads_and_the_rest_is_work(tmp_path, monkeypatch, capsys):
    """A module that sleeps half a second, which imports another that does, and a fifth of a second of work beside them."""
    (tmp_path / "slow_outer.py").write_text("import time, slow_inner\ntime.sleep(0.5)")
    (tmp_path / "slow_inner.py").write_text("import time\ntime.sleep(0.5)")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    with work():
        import slow_outer  # pyright: ignore[reportMissingImports]

        time.sleep(0.2)
    assert sys.meta_path == finders
    assert type(slow_outer.__loader__).__name__ == type(slow_outer.__spec__.loader).__name__ == "SourceFileLoader"
    told = dict(re.findall(r"(\w+) seconds: ([\d.]+)", capsys.readouterr().out))
    assert float(told["loading"]) >= 1.0  # sleeps are never shorter
    assert float(told["work"]) >= 0.2


def test_a_module_that_fails_is_left_as_python_leaves_it(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with loading() as loads:
        with pytest.raises(ZeroDivisionError):
            import broken_module  # pyright: ignore[reportMissingImports] # noqa: F401
        with pytest.raises(ImportError):
            import no_such_module  # pyright: ignore[reportMissingImports] # noqa: F401
    assert loads.depth == 0
    assert "broken_module" not in sys.modules


@pytest.mark.parametrize("first", ["", "import numba;"])
def test_kernels_that_numba_reads_or_compiles_are_loads(first):
    """In a process of its own: numba imported before or within the work, a kernel compiled, and run once it is there."""
    code = f"""{first}
import time
from wgfpipe.pipeline.timing import loading
with loading() as loads:
    import numba
    before = loads.seconds
    kernel = numba.njit(lambda x: x + 1)
    kernel(1)
    compiled = loads.seconds
    kernel(2)
    time.sleep(0.1)
    print(before, compiled, loads.seconds)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, compiled, after = map(float, done.stdout.split())
    assert compiled > before + 0.005  # compilation takes tens of milliseconds
    assert after == compiled


def test_the_share_that_is_no_work_is_that_of_the_benchmarks(tmp_path):
    """Ten seconds of jobs, of which four are work and two are loads."""
    for name, seconds, log in (
        ("a/data", 4, "work seconds: 1.0\nloading seconds: 2.0\n"),
        ("a/grid", 6, "work seconds: 3.0\n"),
    ):
        for folder, end, text in (("logs", "log", log), ("benchmarks", "tsv", f"s\th:m:s\n{seconds}\t0\n")):
            path = tmp_path / folder / f"{name}.{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert "inside jobs, 60% of the time is not work" in describe(tmp_path)
    assert "80% of the core seconds" in describe(tmp_path, wall=10.0, cores=2)
