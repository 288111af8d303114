"""The velocity of neurons that slide along activation lines: minus the element of least norm of the subdifferential of V.

``d/dt F = -int |g|^2 dmu``, g the element of least norm. Where V has a convex kink, forces of both sides push a neuron onto it,
and the flow slides: of ``g0 + lambda c x_j``, lambda in [0, 1], g0 the gradient beside the line of x_j and c > 0 the slope of V
by its preactivation, it takes the one of least norm. The plain gradient, with relu'(0) = 0, is one end of that segment and
too long. For a cone, which V is at a neuron on its lines, ``(theta - prox_h(theta)) / h`` is that element exactly, for every
h that takes it to no other line; with both layers trained, to O(h).

Explicit schemes jump to and fro across a line instead: neurons that an implicit step of a length ``reach`` would leave on a
line count as sliding on it. Cost: two proximal maps of every neuron, about two implicit steps; ``Problem.dissipation``, which
is asked on the way of every run, takes the plain gradient instead, and is an upper bound. Pitfall: entropy and functions of
the density are left out.
Source: Ambrosio, Gigli and Savare, Gradient Flows (2008), theorem 11.1.3 (the velocity of least norm); Brezis, Operateurs
Maximaux Monotones (1973), section III.1; Filippov, Differential Equations with Discontinuous Righthand Sides (1988).
"""

import math

import numpy as np

from wgfpipe.energies.outputs import Outputs
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Parametrization

SHORTER = 1e-6
"""Share by which an element must be shorter than the gradient to be another: its rounding is 1e-8."""


def least_force(problem: Problem, measure: Measure, reach: float = 0.0) -> Array:
    """Element of least norm of the subdifferential of V at every atom, (atom, param); minus the velocity of the flow.

    Parameters
    ----------
    problem : Problem
        Of flat parameters: take ``problem.in_twin`` for curved ones.
    measure : Measure
    reach : float
        Length of a step, in flow time, that neurons jump across a line by: the dt of an explicit scheme; 0 for those that lie
        on lines to rounding.

    Raises
    ------
    ValueError
        If reach is negative.
    """
    if not reach >= 0.0:
        raise ValueError(f"expected a reach of at least 0, a flow time, got {reach}")
    points, sign = measure.points, measure.species
    force = problem.functional.gradient(measure, points, sign)
    outputs = _with_kinks(problem)
    size, steepest = float(np.abs(points).max(initial=0.0)), float(np.abs(force).max(initial=0.0))
    if outputs is None or not (size > 0.0 and 0.0 < steepest < math.inf):
        return force
    v = outputs.of(points, measure.weights, sign) - outputs.loss.centre
    others = force - outputs.gradient(points, sign, v)
    short = math.sqrt(np.finfo(float).eps) * size / steepest  # rounding of places and length of the way are alike
    ahead = points if reach == 0.0 else outputs.prox(points - reach * others, points, sign, v, reach)
    beside = outputs.gradient(ahead, sign, v) + others
    least = (ahead - outputs.prox(ahead - short * others, ahead, sign, v, short)) / short
    held = (least**2).sum(axis=1) < (1.0 - SHORTER) * (beside**2).sum(axis=1)
    return np.where(held[:, None], least, force)


def least_dissipation(problem: Problem, measure: Measure, reach: float = 0.0) -> float:
    """Rate at which the flow lowers the energy of a measure: see :func:`least_force`.

    NaN where the energy asks for a density, and in curved parameters without a Euclidean twin.
    """
    model = problem.parametrization
    if problem.functional.pointwise or (model.geometry == "curved" and model.twin is None):
        return math.nan
    if model.geometry == "curved":
        return least_dissipation(problem.in_twin, model.to_twin(measure), reach)
    return float(measure.weights @ (least_force(problem, measure, reach) ** 2).sum(axis=1))


def sliding_mass(problem: Problem, measure: Measure, reach: float = 0.0) -> float:
    """Share of the mass whose velocity is not minus the plain gradient: neurons that slide along activation lines."""
    plain = problem.functional.gradient(measure, measure.points, measure.species)
    slides = (least_force(problem, measure, reach) != plain).any(axis=1)
    return float(measure.weights[slides].sum() / measure.weights.sum())


def _with_kinks(problem: Problem) -> Outputs | None:
    """View of the one term whose first variation has kinks, and proximal maps that find minima on them."""
    model = problem.parametrization
    if not isinstance(model, Parametrization) or not model.proximal:
        return None
    views = [term.outputs for term in problem.functional.terms if term.outputs is not None and len(term.outputs)]
    return views[0] if len(views) == 1 else None
