"""Gaussians in quadratic potentials and quadratic interactions, with an entropy: they stay Gaussian.

``F = int (x - m)' A (x - m) / 2 dmu + (k / 4) iint |x - y|^2 dmu dmu + D int rho log rho``: the mean follows the potential
alone, and the covariance that of the stiffness A + k (:func:`wgfpipe.solvers.gaussian.ornstein_uhlenbeck`). The map is
linear, ``T' = (D S^-1 - A - k) T``: known where all commute, and integrated to 12 digits elsewhere.
Source: Uhlenbeck and Ornstein, Phys. Rev. 36 (1930); McKean, PNAS 56 (1966); Risken, The Fokker-Planck Equation (1989).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import erfc

from wgfpipe.closed_forms.base import ClosedForm, bowl
from wgfpipe.energies.functional import Diffusion
from wgfpipe.energies.interaction import PairInteraction
from wgfpipe.measure import Array
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import Gaussian, ornstein_uhlenbeck

DIGITS = 1e-12
"""Relative error of the map in a time step of its integration."""

AT_REST = 40.0
"""Relaxation times after which nothing is left to relax, e^-40 = 4e-18."""

LONG = 1e5
"""Times, in units of the fastest rate, that an integration would take too many steps for: the map is not known there."""

COMMUTE = 1e-14
"""Entries off the diagonal, as a share of the largest, that rounding leaves of matrices that commute."""


@dataclass(frozen=True, eq=False)
class GaussianFlow(ClosedForm):
    """A Gaussian start, the stiffness A and centre m of the potential, the k of the interaction, and the diffusion D."""

    start: Gaussian
    stiffness: Array
    centre: Array
    attraction: float
    diffusion: float
    words: ClassVar[str] = "a Gaussian in quadratic potentials, quadratic interactions and entropies"
    references: ClassVar[tuple[str, ...]] = (
        "Uhlenbeck and Ornstein, On the Theory of the Brownian Motion, Phys. Rev. 36 (1930)",
    )

    @classmethod
    def of(cls, problem: Problem) -> "GaussianFlow | None":
        dimension = problem.initial.points.shape[1]
        start = None if problem.law is None else problem.law.gaussian(dimension)
        if start is None:
            return None
        attraction, others = 0.0, []
        for term in problem.functional.terms:
            if isinstance(term, PairInteraction) and (stiffness := term.kernel.quadratic_stiffness) is not None:
                attraction += stiffness
            elif not isinstance(term, Diffusion):
                others.append(term)
        form = bowl(others, dimension)
        return None if form is None else cls(start, *form, attraction, problem.functional.diffusion)

    def law_at(self, time: float) -> Gaussian:
        """Mean and covariance at a time."""
        mean, covariance = self.start
        around = self.stiffness + self.attraction * np.eye(len(mean))
        alone = ornstein_uhlenbeck(mean, covariance, self.stiffness, self.centre, self.diffusion, time)
        return Gaussian(alone.mean, ornstein_uhlenbeck(mean, covariance, around, self.centre, self.diffusion, time).covariance)

    def density(self, points: Array, time: float) -> Array:
        mean, covariance = self.law_at(time)
        values, axes = np.linalg.eigh(covariance)
        along = (points - mean) @ axes / np.sqrt(values)
        return np.exp(-0.5 * (along**2).sum(axis=1)) / np.sqrt(np.prod(2.0 * np.pi * values))

    def outside(self, low: Array, high: Array, time: float) -> float:
        mean, covariance = self.law_at(time)
        scale = np.sqrt(2.0 * np.diag(covariance))
        return float(0.5 * (erfc((high - mean) / scale) + erfc((mean - low) / scale)).sum())

    def moved(self, points: Array, time: float) -> Array:
        return self.law_at(time).mean + (points - self.start.mean) @ _stretch(self, time).T


@lru_cache(maxsize=32)
def _stretch(form: GaussianFlow, time: float) -> Array:
    """Linear part T (d, d) of the map."""
    size = len(form.centre)
    around = form.stiffness + form.attraction * np.eye(size)

    def slope(at: float, entries: Array) -> Array:
        rate = -around
        if form.diffusion > 0.0:
            rate = rate + form.diffusion * np.linalg.inv(form.law_at(at).covariance)
        return (rate @ entries.reshape(size, size)).ravel()

    rates = np.linalg.eigvalsh(around)
    if rates[0] > 0.0:
        time = min(time, AT_REST / rates[0])  # at rest the slope is zero
    before, after = form.start.covariance, form.law_at(time).covariance
    if not np.isfinite(after).all():
        return np.full((size, size), math.nan)
    for first, other in ((before, around), (around, before)):  # a round start has every axis for its own, and so may A
        values, axes = np.linalg.eigh(first)
        turned = axes.T @ other @ axes
        if np.abs(turned - np.diag(np.diag(turned))).max() <= COMMUTE * np.abs(turned).max():  # every axis moves alone
            variances = values if first is before else np.diag(turned)
            return (axes * np.sqrt(np.diag(axes.T @ after @ axes) / variances)) @ axes.T
    if time * np.abs(rates).max() > LONG:
        return np.full((size, size), math.nan)
    least = math.sqrt(max(np.linalg.eigvalsh(after)[0], 0.0) / np.linalg.eigvalsh(before)[-1])  # T before T' = after
    absolute = DIGITS * min(1.0, max(least, math.exp(-50.0)))  # entries that pass through zero have no relative error
    run = solve_ivp(slope, (0.0, time), np.eye(size).ravel(), method="DOP853", rtol=DIGITS, atol=absolute)
    return run.y[:, -1].reshape(size, size)
