"""Observables that are linear in the measure, ``mu -> int phi dmu``: errors that extrapolate, and shares that add up.

A difference of two runs is then a vector. Vectors of a refinement converge along a line, which a scalar distance of nearly
cancelling errors does not; their projections on the whole error add up to it exactly. Two are known:

* ``outputs``: outputs of the network on fixed fine inputs around the data.
* ``kernel means``: ``int exp(-|e(theta) - a|^2 / (2 s^2)) dmu`` over every species, at fixed anchors a in the space's embedding
  e. The raw coordinates of a turn wind, and a mean over them jumps.

Anchors spread like the atoms of the measures that they are made for, and s^2 is the mean squared distance of those from their
mean. Every run of a refinement needs the same observables: make them once, of the problem judged. Cost: one pass over the atoms
for every input or anchor. Pitfall: a start far smaller than what it grows to has anchors and s of its own size, and sees
nothing of the end: give the end of the reference, too.
Source: Gretton et al., JMLR 13 (2012), kernel mean embeddings.
"""

from collections.abc import Callable

import numpy as np

from wgfpipe.distances.function_gap import fine_inputs
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Space

N_ANCHORS = 32
"""Anchors of the kernel means, of every species."""

Observable = Callable[[Measure], Array]


def observables(problem: Problem, *seen: Measure) -> dict[str, Observable]:
    """Linear observables of measures of a problem, by name; the one to judge by comes first.

    Parameters
    ----------
    problem : Problem
        The problem judged, whose initial measure places the anchors.
    *seen : Measure
        Further measures that the anchors are to reach, such as the end of the reference.

    Returns
    -------
    dict of str to callable
        ``outputs``, where points have outputs, (input,), and ``kernel means``, (species * N_ANCHORS,).

    Raises
    ------
    ValueError
        If all atoms lie in one place, which has no scale.
    """
    found: dict[str, Observable] = {}
    if problem.has_outputs:
        inputs = fine_inputs(problem.x)
        found["outputs"] = lambda measure: problem.predict(measure, inputs)
    found["kernel means"] = kernel_means(problem.parametrization, problem.initial, *seen)
    return found


def kernel_means(space: Space, *seen: Measure) -> Observable:
    """Kernel means of measures of a space at anchors among the atoms of some, (species * N_ANCHORS,)."""
    atoms, masses = zip(*((_placed(space, measure)[0], measure.weights) for measure in seen), strict=True)
    places, weights = np.concatenate(atoms), np.concatenate([mass / mass.sum() for mass in masses]) / len(seen)
    centre = weights @ places
    factor = np.asarray(np.linalg.qr(np.sqrt(weights)[:, None] * (places - centre), mode="r"))  # R' R is the covariance
    square = float((factor**2).sum())
    if not square > np.finfo(float).eps ** 2 * float((places**2).sum(axis=1).max()):
        raise ValueError("all atoms lie in one place, which has no scale for kernel means: give the end of a run, too")
    anchors = centre + np.random.default_rng(0).standard_normal((N_ANCHORS, len(factor))) @ factor
    kinds = (space.twin or space).signs

    def means(measure: Measure) -> Array:
        points, species = _placed(space, measure)
        of_kind = np.stack([measure.weights * (species == kind) for kind in kinds])  # (species, atom)
        values = [of_kind @ np.exp(((points - anchor) ** 2).sum(axis=1) / (-2.0 * square)) for anchor in anchors]
        return np.stack(values, axis=1).ravel()

    return means


def _placed(space: Space, measure: Measure) -> tuple[Array, Sign]:
    """Places of atoms in a Euclidean space, (atom, dimension), and their species: those of a twin, where there is one."""
    home, own = (space, measure) if space.twin is None else (space.twin, space.to_twin(measure))
    return home.embed(own.points), own.species
