"""Back-and-forth method for a JKO step on an even grid: ascent in a potential that transport ties to a second one.

``max over psi(x) + phi(y) <= |x - y|^2 / (2 dt) of  <q, phi> - F*(-psi)``, q the masses before. Either potential is the
c-transform of the other, ``psi^c(y) = min_x |x - y|^2 / (2 dt) - psi(x)``, one lower envelope a line. The method ascends in
the metric of theta1 - theta2 Lap, and goes from psi to phi and back, which makes psi c-concave:

    psi += (theta1 - theta2 Lap)^-1 (p - T#q),  p the answer to -psi,  T(y) = y - dt grad psi^c(y);  psi = (psi^c)^c.

theta1 = max u*'', theta2 = dt max rho bound what the dual bends by. Masses are pushed to the 4^d nodes around their image.
The operator is inverted by a cosine transform. The residual is |p - T#q|_1 as a share of the mass. The published method has a
second ascent, in phi; here the ascent in psi has momentum instead.

What such a step needs to end on a lattice, told by the residual of the process of the tests on 64^2 nodes after 100
iterations. Shares of pushed mass between two nodes an axis raise variances by up to h^2 / 4, forth and back, which p does
not: .050. Cubic shares on four nodes keep variances: .033, where it stalls. Minima over nodes alone move masses by halves of
spacings, unevenly however fine the lattice is: the map is that of minima between nodes, where psi is a cubic spline: .010
with ascents in both, and .0074 with momentum, .0041 after 300. The way back takes minima over nodes: they leave a c-concave
psi as it is, up to rounding, where splines would change it by their error in every iteration, and drift. Without a way back
psi need not be c-concave: then p is that of every second node, T#q as well, and the residual vanishes at what is no solution.
What is judged and returned has the momentum beside: c-concave but for a share of the last change, which ends at zero.

Order 1 in dt as a scheme for the flow; exact in dt otherwise. Cost an iteration: three c-transforms, two cosine transforms
and one push; O(N) for N nodes, and 4 n N for the splines along an axis of n. Pitfalls: theta a few times smaller diverges, as
does a density that u*'' does not bound, such as that of a power > 2; spacings above half the width of the masses leave .01.
Source: Jacobs, Lee and Leger, The back-and-forth method for Wasserstein gradient flows, ESAIM: COCV 27 (2021); Jacobs and
Leger, Numer. Math. 146 (2020); Keys, IEEE Trans. Acoust. Speech Signal Process. 29 (1981), the cubic shares; Nesterov, Soviet
Math. Dokl. 27 (1983), momentum; O'Donoghue and Candes, Found. Comput. Math. 15 (2015), when it starts anew.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn, idctn
from scipy.interpolate import make_interp_spline

from wgfpipe.grid._envelope import lower_envelope, lower_to_vertices
from wgfpipe.measure import Array
from wgfpipe.solvers.iterates import best_iterate
from wgfpipe.solvers.pointwise import Answer, Pointwise

PLACES = 4
"""Places a spacing at which a minimum between nodes is looked for: 2 leave half more of a residual, 8 as much as 4."""


class BackAndForthEnd(NamedTuple):
    """Masses after a step and psi, of the grid's shape, the residual, the cost of transport and iterations.

    The masses are those that answer -psi, scaled to the mass before.
    """

    masses: Array
    potential: Array
    residual: float
    transport_cost: float
    iterations: int

    @property
    def iterate(self) -> Array:
        """What the next step starts from: the potential."""
        return self.potential


class _Iterate(NamedTuple):
    """psi, its transform phi, what answers -psi, what that has more than the masses moved, and the sum of it as a share.

    ``reached`` is psi without its momentum, and ``pace`` the number that momentum grows with, 1 where there is none.
    """

    psi: Array
    phi: Array
    answer: Answer
    excess: Array
    residual: float
    reached: Array
    pace: float = 1.0


class BackAndForth:
    """Back-and-forth JKO steps on a grid.

    Parameters
    ----------
    energy : Pointwise
        F, whose potential has the shape of the grid.
    axes : sequence of Array
        Places of the nodes along every axis, increasing and equally spaced.
    caution : float
        Factor of theta1 and theta2.

    Raises
    ------
    ValueError
        If the axes do not fit the shape of the potential.
    """

    def __init__(self, energy: Pointwise, axes: Sequence[Array], caution: float = 1.0) -> None:
        shape = energy.potential.shape
        if tuple(len(axis) for axis in axes) != shape:
            raise ValueError(f"expected axes of {shape} nodes, got {tuple(len(axis) for axis in axes)}")
        self.energy, self.axes, self.caution = energy, tuple(np.asarray(axis, float) for axis in axes), caution
        self._spacings = tuple(float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in self.axes)
        self._nodes = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)
        squares = [(2.0 / h * np.sin(0.5 * np.pi * np.arange(n) / n)) ** 2 for n, h in zip(shape, self._spacings, strict=True)]
        self._laplacian = np.sum(np.meshgrid(*squares, indexing="ij"), axis=0)
        self._between = [_between(axis) for axis in self.axes]

    def transform(self, potential: Array, dt: float) -> Array:
        """c-transform ``min_x |x - y|^2 / (2 dt) - psi(x)`` over the nodes, at the nodes; of the grid's shape."""
        values = -potential
        for axis, nodes in enumerate(self.axes):
            rows = np.ascontiguousarray(values.reshape(math.prod(values.shape[:axis]), len(nodes), -1))
            least, choice = np.empty_like(rows), np.empty(rows.shape, np.int64)
            lower_envelope(nodes, nodes, rows, dt, least, choice)
            values = least.reshape(values.shape)
        return values

    def transform_between(self, potential: Array, dt: float) -> Array:
        """c-transform at the nodes with minima between them, too, where psi is a cubic spline, axis by axis.

        They are those over PLACES a spacing, lowered to the vertex of the parabola through three of these.
        """
        values = -potential
        for axis, (nodes, (places, spline)) in enumerate(zip(self.axes, self._between, strict=True)):
            rows = values.reshape(math.prod(values.shape[:axis]), len(nodes), -1)
            finer = np.ascontiguousarray(np.matmul(spline, rows))
            least, choice = np.empty(rows.shape), np.empty(rows.shape, np.int64)
            lower_envelope(places, nodes, finer, dt, least, choice)
            lower_to_vertices(places, nodes, finer, dt, least, choice)
            values = least.reshape(values.shape)
        return values

    def push(self, masses: Array, potential: Array, dt: float) -> Array:
        """Move masses from y to ``y - dt grad potential(y)``, into the box, and share them among four nodes an axis.

        Shares by Keys's cubics keep second moments, too, which sharing between two nodes raises by up to h^2 / 4; they may
        be negative. Next to a wall two nodes have to do.
        """
        slopes = np.gradient(potential, *self._spacings)
        result, indices, shares = np.zeros(masses.size), [], []
        for axis, slope in zip(range(len(self.axes)), [slopes] if len(self.axes) == 1 else slopes, strict=True):
            nodes = self.axes[axis]
            place = (self._nodes[..., axis] - dt * slope - nodes[0]) / self._spacings[axis]
            place = np.clip(place, 0.0, len(nodes) - 1.0)  # the domain is the box: mass stays on its side of the wall
            low = np.minimum(place.astype(np.int64), len(nodes) - 2)
            s, stride = place - low, math.prod(masses.shape[axis + 1 :])
            beyond = np.where((low >= 1) & (low <= len(nodes) - 3), 0.5 * s * (1.0 - s), 0.0)
            shares.append((beyond * (s - 1.0), 1.0 - s + beyond * (2.0 - 3.0 * s), s + beyond * (3.0 * s - 1.0), -beyond * s))
            indices.append([stride * np.clip(low + k, 0, len(nodes) - 1) for k in (-1, 0, 1, 2)])
        for corner in product(range(4), repeat=len(self.axes)):
            index = sum(part[k] for part, k in zip(indices, corner, strict=True))
            share = math.prod(part[k] for part, k in zip(shares, corner, strict=True))
            result += np.bincount(np.ravel(index), (masses * share).ravel(), masses.size)
        return result.reshape(masses.shape)

    def dual(self, potential: Array, before: Array, dt: float) -> float:
        """``<q, psi^c> - F*(-psi)`` of psi and q of the grid's shape: a lower bound on the step's objective on the nodes."""
        conjugate = self.energy.answer(-potential).conjugate
        return float((before * self.transform(potential, dt)).sum()) - conjugate

    def step(
        self,
        before: Array,
        dt: float,
        start: Array | None = None,
        tolerance: float = 0.02,
        max_iterations: int = 100,
    ) -> BackAndForthEnd:
        """Advance masses by dt.

        Parameters
        ----------
        before : Array, shape of the grid
            Masses >= 0, not all zero.
        dt : float
            Step > 0.
        start : Array, shape of the grid or flat, optional
            Guess of psi, such as the ``iterate`` of the step before.
        tolerance : float
            Residual to reach.
        max_iterations : int
            Iterations at most; the best residual met is told with its masses.

        Raises
        ------
        ValueError
            For masses or a step that are not as said.
        """
        self.energy.check_step(before, dt)
        mass = float(before.sum())
        psi = -self.energy.near(before) if start is None else start.reshape(before.shape)
        best, iterations = best_iterate(
            self._seen(psi, before, dt),
            lambda at: self._ascended(at, before, dt),
            lambda at: at.residual if math.isfinite(at.residual) else math.nan,
            tolerance,
            max_iterations,
        )
        slopes = np.asarray(np.gradient(best.phi, *self._spacings)).reshape(-1, *best.phi.shape)
        return BackAndForthEnd(
            best.answer.masses * (mass / best.answer.masses.sum()),  # it misses the mass by less than the residual
            best.psi,
            best.residual,
            0.5 * dt * float((before * (slopes**2).sum(axis=0)).sum()),
            iterations,
        )

    def _seen(self, psi: Array, before: Array, dt: float) -> "_Iterate":
        """A potential with its transform and what answers it."""
        phi, answer = self.transform_between(psi, dt), self.energy.answer(-psi)
        excess = answer.masses - self.push(before, phi, dt)
        return _Iterate(psi, phi, answer, excess, float(np.abs(excess).sum()) / float(before.sum()), psi)

    def _ascended(self, at: "_Iterate", before: Array, dt: float) -> "_Iterate":
        """One ascent in psi, made c-concave, with momentum that starts anew where it points downhill."""
        raised = at.psi + self._smoothed(at.excess, at.answer, dt)
        psi = self.transform(self.transform(raised, dt), dt)
        pace = 1.0 if float((at.excess * (psi - at.reached)).sum()) < 0.0 else at.pace
        after = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * pace**2))
        seen = self._seen(psi + (pace - 1.0) / after * (psi - at.reached), before, dt)
        return seen._replace(reached=psi, pace=after)

    def _smoothed(self, excess: Array, answer: Answer, dt: float) -> Array:
        """``(theta1 - theta2 Lap)^-1`` of an excess of mass, as a density."""
        theta1 = float(answer.bend.max()) / self.energy.volume
        theta2 = dt * float(answer.masses.max()) / self.energy.volume
        modes = np.asarray(dctn(excess / self.energy.volume, norm="ortho")) / (
            self.caution * (theta1 + theta2 * self._laplacian)
        )
        return np.asarray(idctn(modes, norm="ortho"))


def _between(nodes: Array) -> tuple[Array, Array]:
    """PLACES a spacing of nodes (n,), and the matrix (place, n) that makes values there from those at the nodes."""
    places = np.linspace(nodes[0], nodes[-1], PLACES * (len(nodes) - 1) + 1)
    return places, make_interp_spline(nodes, np.eye(len(nodes)), k=min(3, len(nodes) - 1))(places)
