"""Points that are no neurons: a Gaussian that contracts in a flat space, as exact masses, another scheme and particles."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from wgfpipe.energies.functional import Density
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Measure
from wgfpipe.results import recording
from wgfpipe.spaces.base import Space
from wgfpipe.status import Info

TIMES = np.linspace(0.0, 1.0, 5)
START, STD = 0.8, 0.5
"""Mean in every coordinate and standard deviation at time 0."""


class Flat(Space):
    """A Euclidean space."""

    kind: Literal["flat"] = "flat"
    title: ClassVar[str] = "flat space"
    dimension: int = 2

    def parameter_names(self, n_features):
        return ("x",) if self.dimension == 1 else tuple(f"x{k + 1}" for k in range(self.dimension))


@dataclass(frozen=True, eq=False)
class FlatProblem:
    """What distances ask of a problem without a network."""

    parametrization: Space
    grid: Grid | None
    has_outputs: bool = False

    def require_grid(self):
        return self.grid

    parts: ClassVar = {"potential": None}
    x = np.zeros((0, 0))
    functional: ClassVar = Density(None)

    def predict(self, measure):
        return np.zeros(0)

    def energy_terms(self, measure):
        return np.array([self.energy_of(measure)])

    def dissipation(self, measure):
        return 2.0 * self.energy_of(measure)

    def energy_of(self, measure, prediction=None):
        return 0.5 * float(measure.weights @ (measure.points**2).sum(axis=1))


def problem(dimension=2, points_per_axis=31, half_width=3.0):
    """A space of some dimension with a grid."""
    return FlatProblem(Flat(dimension=dimension), Grid.uniform(half_width, points_per_axis, dimension, signs=(1,)))


def masses(grid, mean, std):
    """Gaussian masses on the nodes, positive everywhere."""
    density = np.exp(-0.5 * ((grid.nodes - mean) ** 2).sum(axis=1) / std**2)
    return grid.measure(density / density.sum())


def run(setting, measures, support, kind="made", family="Wasserstein gradient flow", **said):
    """Trajectory file of some measures at TIMES, as a solver would have recorded it."""

    class Method:
        title, references, certificate, transports = f"{kind} by hand", ("Nobody, Nothing (2000)",), "none: by hand", True
        tunnels = False
        diagnostics: ClassVar = {}

    method = Method()
    method.kind, method.family, method.support = kind, family, support
    recorder = recording.Recorder()
    for measure, time in zip(measures, TIMES, strict=False):
        recorder.save(setting, measure, time)
    recorder.infos, recorder.step_times = [Info(energy=energy) for energy in recorder.energies[1:]], list(TIMES[1:])
    return recording.build(setting, recorder, method).assign_attrs(**said)


def contraction(setting, rate=1.0):
    """Masses of a Gaussian whose mean and width decay at a rate."""
    return [masses(setting.grid, START * np.exp(-rate * t), STD * np.exp(-0.3 * rate * t)) for t in TIMES]


def particles(setting, rate=1.0, n_atoms=400):
    """The same as points of equal mass, drawn once."""
    dimension = setting.parametrization.dimension
    drawn = np.random.default_rng(0).standard_normal((n_atoms, dimension))
    drawn = (drawn - drawn.mean(axis=0)) / drawn.std(axis=0)
    places = [START * np.exp(-rate * t) + STD * np.exp(-0.3 * rate * t) * drawn for t in TIMES]
    return [Measure(points, np.full(n_atoms, 1.0 / n_atoms), np.ones(n_atoms, np.int8)) for points in places]


def runs(setting):
    """Exact masses, a scheme on the grid that lags by 3 %, and particles that follow."""
    return {
        "exact": run(setting, contraction(setting), "grid", "exact", "gradient descent"),
        "jko": run(setting, contraction(setting, 0.97), "grid", "jko"),
        "langevin": run(setting, particles(setting), "particles", "langevin", "gradient descent"),
    }
