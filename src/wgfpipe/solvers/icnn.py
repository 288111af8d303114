"""JKO steps of an input-convex network: ``min over u of  E|grad u - x|^2 / (2 dt) + E V(grad u) - D E log det Hess u``.

The potential of the map is convex in x, whatever its parameters are:

    ``u(x) = e^r |x|^2 / 2 + |L x|^2 / 2 + c.x + w . sp(W sp(A0 x + b0) + A1 x + b1)``,   sp(z) = log(1 + e^z),

W, w >= 0 as sp of free numbers. With s = sp'(A0 x + b0), g = w sp'(z), z the argument of the outer sp, J = W diag(s) A0 + A1,

    ``grad u = e^r x + L'L x + c + A0'(s W'g) + A1'g``,
    ``Hess u = e^r + L'L + J' diag(w sp''(z)) J + A0' diag(sp''(A0 x + b0) W'g) A0``:

matrix products. The law of y = grad u(x) has the log density ``log rho(x) - log det Hess u(x)`` and the score
``(Hess u)^{-1} (grad log rho - grad log det Hess u)`` there (change of variables).

The derivative of the objective along a change of u is ``E <force, d grad u> - D E tr((Hess u)^{-1} d Hess u)``,
force = (grad u - x) / dt + grad V(grad u): one backward pass with force and inverse held fixed, and the gradient of V alone.

Certificate: ``R(x) = force + D score`` is the gradient of the objective over maps, (1/dt + k)-convex where Hess V >= k,
k > -1/dt. So ``E|grad u - T|^2 <= E|R|^2 / (1/dt + k)^2`` for the map T of the exact step, and W2 to it is no more.

Cost an iteration: batch x dimension x width^2 x 6 multiplications; at width 64 and batch 512, one thread, 8 ms for d = 2 and
26 for 12 in float32, against 11 and 53 in float64. Pitfalls: L = 0 is a stationary point, and a quadratic model that starts
there keeps its shape; a pool of few points is overfitted by log det.
Source: Amos, Xu and Kolter, ICML 2017 (input-convex networks); Mokrov et al., NeurIPS 2021; Alvarez-Melis, Schiff and Mroueh,
TMLR 2022; Bunne et al., AISTATS 2022 (their use in JKO steps).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.solvers.gaussian import Gaussian

CHUNK = 4096
"""Points that a pass over the pool takes at once: matrices (point, width) stay in the cache."""

FIRST_FACTOR = 0.1
"""Standard deviation of the entries of L at the start."""


class Shape(NamedTuple):
    """Dimension of the points and width of the two hidden layers; 0 for a quadratic potential, whose map is affine."""

    dimension: int
    width: int

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of r, L, c, A0, b0, W, A1, b1 and w, one after the other in the vector of parameters."""
        d, h = self
        return (), (d, d), (d,), (h, d), (h,), (h, h), (h, d), (h,), (h,)

    def split(self, parameters: Any) -> list[Any]:
        """Views of the blocks of a vector, array or tensor (parameter,)."""
        sizes = [math.prod(block) for block in self.blocks]
        ends = np.cumsum(sizes)
        if parameters.shape != (ends[-1],):
            raise ValueError(f"expected {ends[-1]} parameters of a network of {self}, got the shape {tuple(parameters.shape)}")
        return [parameters[end - size : end].reshape(block) for end, size, block in zip(ends, sizes, self.blocks, strict=True)]


def first_parameters(shape: Shape, rng: np.random.Generator) -> Array:
    """Parameters near the identity map, (parameter,): L of some size, hidden layers random and of little weight."""
    d, h = shape
    factor = FIRST_FACTOR * rng.standard_normal((d, d))
    layers = [rng.standard_normal((h, d)) / math.sqrt(d), rng.standard_normal(h)]
    inner = math.log(1.0 / max(h, 1)) + 0.5 * rng.standard_normal((h, h))
    more = [rng.standard_normal((h, d)) / math.sqrt(d), rng.standard_normal(h)]
    outer = np.full(h, math.log(0.1 / max(h, 1)))
    parts = [np.zeros(1), factor, np.zeros(d), *layers, inner, *more, outer]
    return np.concatenate([part.ravel() for part in parts])


def potential(shape: Shape, parameters: Any, points: Any) -> Any:
    """Values of u at points (point, d), (point,); tensors."""
    from torch.nn.functional import softplus

    r, factor, shift, first, first_bias, inner, second, second_bias, outer = shape.split(parameters)
    value = 0.5 * (r.exp() * (points**2).sum(dim=1) + ((points @ factor.T) ** 2).sum(dim=1)) + points @ shift
    hidden = softplus(points @ first.T + first_bias)
    return value + softplus(hidden @ softplus(inner).T + points @ second.T + second_bias) @ softplus(outer)


def derivatives(shape: Shape, parameters: Any, points: Any) -> tuple[Any, Callable[[], Any]]:
    """Gradient (point, d) of u at points (point, d), and what makes the Hessian (point, d, d) there when called; tensors."""
    import torch
    from torch.nn.functional import softplus

    r, factor, shift, first, first_bias, inner, second, second_bias, outer = shape.split(parameters)
    form = r.exp() * torch.eye(shape.dimension, dtype=points.dtype) + factor.T @ factor
    linear = points @ form + shift
    if shape.width == 0:
        return linear, lambda: form.expand(len(points), -1, -1)
    inner, outer = softplus(inner), softplus(outer)
    z = points @ first.T + first_bias
    s = torch.sigmoid(z)
    t = torch.sigmoid(softplus(z) @ inner.T + points @ second.T + second_bias)
    g = outer * t
    back = g @ inner

    def hessian() -> Any:
        jacobian = (s[:, None, :] * first.T) @ inner.T + second.T  # (point, d, width)
        bent = (jacobian * (g * (1.0 - t))[:, None, :]) @ jacobian.transpose(1, 2)
        outer_products = (first[:, :, None] * first[:, None, :]).reshape(shape.width, -1)
        return form + bent + ((s * (1.0 - s) * back) @ outer_products).reshape(bent.shape)

    return linear + (s * back) @ first + g @ second, hessian


class Training(NamedTuple):
    """How a step is minimized: Adam on batches drawn from the pool, rates that fall to zero along half a cosine.

    Attributes
    ----------
    iterations : int
    batch : int
        Points of a batch.
    rate : float
        First learning rate.
    """

    iterations: int
    batch: int
    rate: float


class Step(NamedTuple):
    """What a step minimizes.

    Attributes
    ----------
    force : callable
        Gradient of V at points (point, d), (point, d); arrays of float64.
    dt : float
        Flow time.
    diffusion : float
        D.
    """

    force: Callable[[Array], Array]
    dt: float
    diffusion: float


class Pushed(NamedTuple):
    """Points after a step and what rides along.

    Attributes
    ----------
    points : Array, shape (point, d)
    log_density : Array, shape (point,)
    score : Array, shape (point, d)
        Gradient of the log density.
    residual : Array, shape (point, d)
        R, the gradient of the objective over maps.
    """

    points: Array
    log_density: Array
    score: Array
    residual: Array


class Units(NamedTuple):
    """Centre (d,) and length in which a network sees points: maps are centre + length grad u((x - centre) / length)."""

    centre: Array
    length: float

    @classmethod
    def of(cls, points: Array) -> "Units":
        """Mean of points (point, d), and their root mean square distance from it a coordinate; 1 if they are all there."""
        centre = points.mean(axis=0)
        return cls(centre, math.sqrt(float(((points - centre) ** 2).mean())) or 1.0)

    def seen(self, points: Array) -> Array:
        """Points in these units."""
        return (points - self.centre) / self.length

    def back(self, points: Array) -> Array:
        """Points as they were."""
        return self.centre + self.length * points


def train(
    shape: Shape,
    start: Array,
    pool: Array,
    units: Units,
    step: Step,
    training: Training,
    rng: np.random.Generator,
) -> Array:
    """Minimize the objective of a step over the parameters, from ``start`` (parameter,); the pool is (point, d).

    Float32 in the network, where the noise of a batch is 10^4 roundings or more. Not finite where it diverged.
    """
    import torch

    unknown = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([unknown], lr=training.rate)
    seen = torch.tensor(units.seen(pool), dtype=torch.float32)
    chosen = torch.from_numpy(rng.integers(len(pool), size=(training.iterations, training.batch)))
    diffusion = step.diffusion / units.length**2
    for k in range(training.iterations):
        optimizer.param_groups[0]["lr"] = 0.5 * training.rate * (1.0 + math.cos(math.pi * k / training.iterations))
        points = seen[chosen[k]]
        moved, bend = derivatives(shape, unknown, points)
        fixed = moved.detach()
        drift = torch.from_numpy(step.force(units.back(fixed.double().numpy())) / units.length).to(torch.float32)
        loss = (((fixed - points) / step.dt + drift) * moved).sum()
        if diffusion > 0.0:
            hessian = bend()
            loss = loss - diffusion * (torch.linalg.inv_ex(hessian.detach())[0] * hessian).sum()
        optimizer.zero_grad()
        (loss / training.batch).backward()
        optimizer.step()
    return unknown.detach().double().numpy()


def moved(shape: Shape, parameters: Array, points: Array, units: Units) -> Array:
    """Points (point, d) after the map."""
    import torch

    weights, seen = torch.from_numpy(parameters), torch.from_numpy(units.seen(points))
    with torch.no_grad():
        parts = [derivatives(shape, weights, part)[0].numpy() for part in seen.split(CHUNK)]
    return units.back(np.concatenate(parts))


def push(shape: Shape, parameters: Array, points: Array, log_density: Array, score: Array, units: Units, step: Step) -> Pushed:
    """Points (point, d) after the map with their log density (point,) and score (point, d), and the certificate of the step.

    What is not finite, or a Hessian that is not positive to rounding, gives NaN.
    """
    import torch

    seen, weights = torch.from_numpy(units.seen(points)).requires_grad_(), torch.from_numpy(parameters)
    moved, bend = derivatives(shape, weights, seen)
    hessian = bend()
    inverse = torch.linalg.inv_ex(hessian.detach())[0]
    rise = np.zeros_like(points)  # of log det, along the points; an affine map has none
    if shape.width > 0:
        rise = torch.autograd.grad((inverse * hessian).sum(), seen)[0].numpy() / units.length
    after = units.back(moved.detach().numpy())
    new_score = np.einsum("pij,pj->pi", inverse.numpy(), score - rise)
    residual = (after - points) / step.dt + step.force(after) + step.diffusion * new_score
    return Pushed(after, log_density - torch.linalg.slogdet(hessian.detach())[1].numpy(), new_score, residual)


def kl_to(points: Array, log_density: Array, law: Gaussian) -> tuple[float, float]:
    """KL of the law of points (point, d) with known log density (point,) to a Gaussian, and its standard error.

    See :func:`kl_of_ratios`.
    """
    values, axes = np.linalg.eigh(law.covariance)
    along = (points - law.mean) @ axes / np.sqrt(values)
    return kl_of_ratios(-0.5 * (along**2).sum(axis=1) - 0.5 * float(np.log(2.0 * math.pi * values).sum()) - log_density)


def kl_of_ratios(ratios: Array) -> tuple[float, float]:
    """``KL(p | q) = E_p[q/p - 1 - log(q/p)]`` from log(q/p) (point,) at a sample of p, and its standard error.

    As E_p[q/p] = 1 it is unbiased; no term is negative and each is of second order, so the error is a share of the KL itself.
    """
    terms = np.expm1(ratios) - ratios
    return float(terms.mean()), float(terms.std() / math.sqrt(len(terms)))
