"""Explicit flow in the negative Sobolev metric: ``theta_{k+1} = theta_k - dt sum_j beta_j grad m(theta_k; x_j)``.

The slopes u = Phi'(f) of the loss are solved against the tangent kernel, T_jk = int <grad m_j, grad m_k> dmu:
``(T / n + ridge I) beta = u``. Outputs then obey ``f' = -T beta``, that is ``f' = -n Phi'(f)`` but for the ridge: gradient
descent in function space, at a rate that no longer depends on what neurons find easy. For the squared loss,
Phi = |f - y|^2 / n, the residual m = f - y decays like e^{-2 t}, and the energy like e^{-4 t}, along all eigenvectors of T
with eigenvalues far above ``n ridge``. It is natural gradient descent with a damping of ``ridge``, and no W2 flow. A potential
of the energy, which has no outputs, moves neurons as in gradient descent.

Symbols: Arbel et al. write F = |m|^2 / (2 n), (T / n + ridge I) alpha = m and the velocity -sum_j alpha_j grad m_j / n. The
squared loss is 2 F and beta = 2 alpha / n: dt here is half of theirs. ``S^2 = m' T^{-1} m`` is the squared negative Sobolev
norm of the data seen from the network: |m|^4 / n^2 <= S^2 m' T m / n^2 bounds the rate of the W2 flow from below.

Cost a step: that of gradient descent, the tangent kernel, about 4 (sample^2 x unit x atom) operations, and a Cholesky factor,
sample^3 / 3; samples are those of the batch where there is one (:mod:`.batches`). Order 1 in dt. Pitfalls: samples beyond some
thousands do not fit; beta of a batch is no unbiased estimate of that of all data; what the kernel does not see within the ridge
is not learnt; a small ridge fits the data, noise included, as fast as everything else, and where few neurons have kinks it
sends them across these within a step: take a larger ridge, or a shorter dt, where the energy rises.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019, section 4 (negative Sobolev distance); Mroueh, Sercu and Raj, AISTATS
2019, Sobolev descent; Amari, Neural Computation 10 (1998).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.methods.base import Solved
from wgfpipe.methods.batches import Explicit
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info


class NegativeSobolev(Explicit):
    """Explicit descent with slopes that the tangent kernel preconditions."""

    kind: Literal["negative_sobolev"] = "negative_sobolev"
    ridge: float = Field(default=1e-6, gt=0, description="what is added to the eigenvalues of the tangent kernel over n")
    title: ClassVar[str] = "negative Sobolev flow"
    needs: ClassVar[tuple[str, ...]] = ("outputs", "network")
    n_sample_matrices: ClassVar[int] = 5
    references: ClassVar[tuple[str, ...]] = (
        "Arbel, Korba, Salim and Gretton, Maximum Mean Discrepancy Gradient Flow, NeurIPS 2019",
        "Mroueh, Sercu and Raj, Sobolev Descent, AISTATS 2019",
    )
    example: ClassVar[Mapping[str, Any]] = {"ridge": 0.1}

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        """Say that the metric is none of transport."""
        return super().solves(problem, dt, n_steps)._replace(metric="negative Sobolev")

    def explicit(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        from scipy.linalg import cho_factor, cho_solve

        outputs, (weights, sign) = problem.outputs, problem.carried
        assert outputs.neurons is not None  # needs
        slope = outputs.loss.slope(state.prediction - outputs.loss.centre)
        system = outputs.tangent(state.points, weights, sign) / len(slope)
        system[np.diag_indices_from(system)] += self.ridge
        beta = cho_solve(cho_factor(system, lower=True, overwrite_a=True), slope)
        force = outputs.neurons.gradient(state.points, sign, outputs.x, beta) + outputs.decay * state.points
        points = outputs.neurons.retract(state.points - dt * force, state.points)
        prediction = outputs.of(points, weights, sign)
        return ParticleState(points, prediction), Info(outputs.value(points, weights, prediction))
