"""A yardstick for rewriting: what every method made of one small cell of every parametrization, kept in ``yardstick.json``.

A change that must not move results is held to the values anywhere, and on the machine that wrote the file to every byte of the
measures. (Of energies the last bit depends on where in memory the outputs lie.) A change that must move them writes the file
anew, ``python tests/test_yardstick.py``, and says why.
"""

import hashlib
import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
from conftest import instance, make_problem, ornstein_uhlenbeck, ring

import wgfpipe
from wgfpipe.methods import METHODS
from wgfpipe.pipeline.provenance import versions
from wgfpipe.results.schema import measure_at

FILE = Path(__file__).with_name("yardstick.json")

PLANE = {"half_width": [2.13, 1.91], "points_per_axis": 12}
SPACE = {"half_width": [2.13, 1.91, 2.04], "points_per_axis": 6}
BOX = {"kind": "uniform", "half_width": 1.0}
DRAWN = {"kind": "gaussian", "std": 0.5, "sampled": 12, "lifted": True}
CELLS = {
    "signed": {"parametrization": {"kind": "signed"}, "grid": PLANE},
    "decay": {"energy": {"kind": "squared_loss", "weight_decay": 0.25}, "grid": PLANE},
    "quadratic": {"energy": {"kind": "quadratic", "stiffness": 0.5}, "grid": PLANE},
    "weight_alpha": {"parametrization": {"kind": "weight_alpha"}, "grid": SPACE},
    "balanced": {"parametrization": {"kind": "weight_alpha"}, "initial": DRAWN},
    "pair": {"parametrization": {"kind": "pair"}, "initial": DRAWN},
    "product": {"parametrization": {"kind": "sphere", "metric": "product"}, "grid": PLANE},
    "cone": {"parametrization": {"kind": "sphere", "metric": "cone"}, "grid": PLANE},
    "ornstein_uhlenbeck": {},
    "ring": {},
    "conserved": {"parametrization": {"kind": "sphere", "metric": "conserved", "imbalance": 0.5}, "grid": PLANE},
}
"""Every parametrization, and the terms that an energy has."""

POINTS = {"ornstein_uhlenbeck": lambda: ornstein_uhlenbeck(16), "ring": lambda: ring(16)}
"""Those without neurons."""

CASES = [(name, cls) for name in CELLS for cls in METHODS]
N_FUNCTIONALS = 6


def run_of(name: str, cls):
    """Two steps of a method in a cell."""
    if name in POINTS:
        problem = POINTS[name]()
    else:
        problem = make_problem(**{"data": {"kind": "random", "n": 5}, "initial": BOX} | CELLS[name])
    method = instance(cls)
    return wgfpipe.solve(problem, method, 2.0 * method.dt, 3, seed=7)


def digest(run) -> str:
    """Digest of the bytes of the measures, of their outputs, and of how often the inner solvers iterated."""
    found = hashlib.sha256()
    for variable in ("points", "weights", "species", "prediction", "inner_iterations", "kernel_applications", "status"):
        found.update(np.ascontiguousarray(run[variable].values).tobytes())
    return found.hexdigest()[:16]


def functionals(run) -> list[float]:
    """Means of smooth functions of the atoms at the end, by which two measures can be told apart from a few numbers."""
    last = measure_at(run, -1)
    waves = np.random.default_rng(0).standard_normal((N_FUNCTIONALS, last.points.shape[1]))
    phases = waves @ last.points.T + 0.3 * last.sign
    return [float(value) for value in np.cos(phases) @ last.weights]


def record(run) -> dict:
    """What the file keeps of a trajectory."""
    if run.attrs["status"] == "unsupported":
        return {"unsupported": run.attrs["advice"]}
    return {
        "digest": digest(run),
        "status": run.attrs["status"],
        "energy": [float(value) for value in run["energy"].values],
        "functionals": functionals(run),
        "kernel_applications": int(run["kernel_applications"].sum()),
    }


def machine() -> str:
    """Say what bytes depend on: the processor, the kernels asked for, threads, and the versions of the packages."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text(encoding="utf-8").splitlines() if processor.exists() else []
    wanted = ("model name", "cpu family", "model\t", "flags")
    found = sorted({line for line in lines if line.startswith(wanted)})
    setting = [os.environ.get(name, "") for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS")]
    packages = {name: version for name, version in versions().items() if name in ("numpy", "scipy", "torch", "POT", "numba")}
    text = json.dumps([platform.machine(), platform.python_version_tuple()[:2], found, setting, packages])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def allowed(cls) -> float:
    """How far values may be from those of another machine: 1e-12, or what an iteration that stops at a tolerance leaves."""
    return max(1e-12, AMPLIFIED * getattr(instance(cls), "tolerance", 0.0))


AMPLIFIED = 10.0
"""Two runs that stop at a tolerance differ by less than this multiple of it; measured: 2 (kernels of five processors)."""


@pytest.mark.parametrize(("name", "cls"), CASES, ids=[f"{name}-{cls.__name__}" for name, cls in CASES])
def test_results_are_where_they_were(name, cls):
    """Values anywhere; bytes and kernel applications, too, on the machine that wrote the file."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    now, then = record(run_of(name, cls)), kept["runs"][name][cls.__name__]
    if "unsupported" in then:
        assert now == then
        return
    ended = {now["status"], then["status"]}
    if "not_converged" not in ended:  # where a solver stopped early its values are anyone's
        assert ended == {then["status"]}
    for key in () if "not_converged" in ended else ("energy", "functionals"):
        np.testing.assert_allclose(now[key], then[key], rtol=0, atol=allowed(cls), err_msg=key)
    if machine() == kept["machine"]:
        assert (now["digest"], now["kernel_applications"]) == (then["digest"], then["kernel_applications"])


def test_every_method_is_held_somewhere():
    """None is unsupported in all cells, and the file knows no method that there is not."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))["runs"]
    for cls in METHODS:
        assert any("unsupported" not in kept[name][cls.__name__] for name in CELLS), cls.__name__
    assert {label for runs in kept.values() for label in runs} == {cls.__name__ for cls in METHODS}


if __name__ == "__main__":
    runs = {name: {cls.__name__: record(run_of(name, cls)) for cls in METHODS} for name in CELLS}
    FILE.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1) + "\n", encoding="utf-8")
