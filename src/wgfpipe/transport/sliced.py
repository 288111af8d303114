"""What the sliced methods share: lines, and exact transport on them.

``d SW2^2(mu, nu) = d mean over lines e of W2^2(<e, mu>, <e, nu>)``  (sign by sign, d = number of parameters).

The factor d is the clock: SW2^2 is about W2^2 / d, and equals it for a translation. The lines are tight frames,
``(d / n) sum_k e_k e_k^T = I``, so that this holds exactly for any number of them: equally spaced angles in two
dimensions, random orthonormal frames in more. On a line the optimal plan merges quantiles. For fixed plans
the objective is ``sum_i weights_i |theta_i - c_i|^2`` plus a constant, c_i the sliced barycentre of neuron i, so that
``2 weights_i (theta_i - c_i)`` is the gradient and one proximal step towards c_i lowers the objective.
Source: Rabin, Peyre, Delon and Bernot, SSVM 2011; Bonneel, Rabin, Peyre and Pfister, J. Math. Imaging Vis. 51 (2015).
"""

from dataclasses import dataclass

import numpy as np

from wgfpipe.measure import Array, Measure


def lines(n_parameters: int, n_projections: int, seed: int | np.random.SeedSequence) -> Array:
    """Directions of unit length that form a tight frame, (line, param); ``n_projections`` rounded up to whole frames."""
    rng = np.random.default_rng(seed)
    if n_parameters == 1:
        return np.ones((1, 1))
    if n_parameters == 2:
        angles = np.pi * (np.arange(n_projections) + rng.random()) / n_projections
        return np.column_stack([np.cos(angles), np.sin(angles)])
    n_frames = -(-n_projections // n_parameters)
    frames = [np.linalg.qr(rng.standard_normal((n_parameters, n_parameters)))[0] for _ in range(n_frames)]
    return np.ascontiguousarray(np.concatenate(frames))


@dataclass(frozen=True, eq=False)
class _Target:
    """Atoms of one sign on all lines."""

    weights: Array
    values: Array  # (line, atom)
    order: np.ndarray  # (line, atom)


class SlicedTransport:
    """``d SW2^2`` to a fixed measure, with its gradient.

    Parameters
    ----------
    target : Measure
        Has the sign masses of every measure given later.
    directions : Array, shape (line, param)
    """

    def __init__(self, target: Measure, directions: Array) -> None:
        self.directions = directions
        self.targets = {int(sign): _on_lines(target, int(sign), directions) for sign in np.unique(target.sign)}
        self._orders = {sign: found.order for sign, found in self.targets.items()}  # of the measures that were met last

    def pull(self, measure: Measure) -> tuple[float, Array]:
        """``d SW2^2`` from a measure, and the way ``c - theta`` of every neuron to its sliced barycentre, (atom, param)."""
        from wgfpipe.transport._sliced import pull

        total, ways = 0.0, np.empty_like(measure.points)
        scale = measure.points.shape[1] / len(self.directions)
        for sign, target in self.targets.items():
            chosen = measure.sign == sign
            own = _on_lines(measure, sign, self.directions, self._orders[sign])
            self._orders[sign] = own.order
            shift = np.empty_like(own.values)
            total += pull(own.values, own.weights, own.order, target.values, target.weights, target.order, shift)
            ways[chosen] = scale * (shift.T @ self.directions)
        return scale * total, ways


def _on_lines(measure: Measure, sign: int, directions: Array, near: np.ndarray | None = None) -> _Target:
    """Sort the atoms of a sign on lines, from an order that is near to theirs."""
    part = measure.of_sign(sign)
    values = np.ascontiguousarray(directions @ part.points.T)
    return _Target(np.ascontiguousarray(part.weights), values, sorted_order(values, near))


def sorted_order(values: Array, near: np.ndarray | None = None) -> np.ndarray:
    """Order that sorts each line of values (line, atom), stable; faster from an order (line, atom) that is near to it."""
    from wgfpipe.transport._sliced import resort

    if near is not None and near.shape == values.shape:
        order = near.copy()
        if resort(values, order):
            return order
    return np.argsort(values, axis=1, kind="stable")
