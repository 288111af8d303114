"""The JKO step in the sliced Wasserstein distance with the measure given by a generative network.

``phi_{k+1} = argmin_phi d SW2^2(mu_phi, mu_{phi_k}) / (2 dt) + F(mu_phi)``, mu_phi = (G_phi)#(standard normal x sign).

G_phi is a small network, linear plus two hidden tanh layers, that takes a standard normal vector and the output sign to a
neuron, or a point; one fixed seeded sample of inputs a sign stands for the normal law, so mu_phi is a measure of equally
weighted neurons, and each sign keeps the mass it has in the problem. The start fits mu_phi to the problem's initial measure in
SW2: what it misses is the distance at time 0. Any energy with a gradient will do. Symbols as in
:mod:`wgfpipe.methods.jko_sliced`: the factor d, the number of parameters, makes dt flow time. L-BFGS with strong Wolfe line
search over phi, from phi_k, where the objective is F(mu_phi_k); so the step descends. It stops when ten iterations gain little
against all the iterations before; ``residual`` is that last gain. Where a start gains nothing because rounding of the energy
hides what forces would gain, the status is ``not_converged``.

Order: none beyond that of its flow (1 in dt): a family of maps is another manifold with another metric, whatever dt is.
Pitfalls: those of jko_sliced, and the fit, the sample and the network. Measured on the sine (6 samples, T = 1, dt = 0.125), W2
to the flow as a share of what that travels: 0.45 at time 0 and 0.80 at the end (0.42 and 0.85 with twice the neurons).
Cost a step: 50-200 evaluations of the network and of a sort of its neurons on every line.
An entropy is that of the image of the normal law, by change of variables: ``D E[log N(z) - log |det dG/dz|]`` over the inputs.
The fit of the start begins with a diagonal matrix, and no map that turns round at an input is taken, then or later; between
inputs nobody sees whether it folds. Inputs few against the network's parameters are overfitted by the determinants.
Source: Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022, section 3
(generative models); their normalizing flows, invertible by construction, are replaced by a plain network.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure, Sign, power_of_two
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.jko_sliced import unsupported_points
from wgfpipe.methods.sliced import hides_gain, sliced_flow
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status
from wgfpipe.transport.sliced import SlicedTransport, lines

WINDOW = 10
"""L-BFGS iterations whose gain decides whether to go on: one line search may gain nothing by accident, ten do not."""

WALL = 1e3
"""A line search interpolates values: this much more than that of the start stands for infinity, and is never taken."""


class GeneratorState(NamedTuple):
    """Parameters of the network (phi,) and the seed of its inputs and of the lines."""

    parameters: Array
    seed: int


class JKOSlicedGenerator(Method):
    """Sliced JKO step over the parameters of a generative network."""

    kind: Literal["jko_sliced_generator"] = "jko_sliced_generator"
    n_projections: int = Field(default=32, ge=2, description="lines, rounded up to whole orthonormal frames")
    n_neurons: int = Field(default=512, ge=2, description="neurons a sign")
    width: int = Field(default=24, ge=1, description="units of each of the two hidden layers of the network")
    tolerance: float = Field(
        default=0.01, gt=0, description="gain of the last ten iterations, as a share of what all iterations gained"
    )
    max_iterations: int = Field(default=300, ge=1, description="L-BFGS iterations a step, and thrice as many for the start")
    title: ClassVar[str] = "JKO on a generative network (sliced W2)"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "what the last ten iterations of the minimization gained, in units of the energy"
    references: ClassVar[tuple[str, ...]] = (
        "Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022",
    )
    example: ClassVar[Mapping[str, Any]] = {
        "n_neurons": 128,
        "width": 12,
        "max_iterations": 1000,
    }
    contraction_error: ClassVar[float] = 0.02  # measured 0.010: the network

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or unsupported_points(problem)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return sliced_flow(
            problem, f"; and of {self.n_neurons} points a sign from a network of width {self.width}, fitted to the start"
        )

    def init(self, problem: Problem, rng: np.random.Generator) -> GeneratorState:
        seed = int(rng.integers(2**62))
        start = self._first_parameters(problem, rng)
        transport = self._transport(problem, problem.initial, seed)
        parameters, _, _, _ = self._minimize(
            start, self._inputs(problem, seed), problem, lambda points: (*self._pull(problem, transport, points), 0.0), 3, 0.0
        )
        return GeneratorState(parameters, seed)

    def step(self, problem: Problem, state: GeneratorState, dt: float) -> tuple[GeneratorState, Info]:
        transport = self._transport(problem, self.measure(problem, state), state.seed)

        def objective(points: Any) -> tuple[Any, float, Any]:
            pulled, cost = self._pull(problem, transport, points)
            return pulled / (2.0 * dt), cost / (2.0 * dt), _energy(problem, points, *self._carried(problem))

        inputs = self._inputs(problem, state.seed)
        strength = problem.functional.diffusion
        parameters, iterations, gain, converged = self._minimize(state.parameters, inputs, problem, objective, 1, strength)
        if converged and parameters is state.parameters:
            converged = not hides_gain(problem, self.measure(problem, state), dt, _unit(problem))
        new = GeneratorState(parameters, state.seed)
        after = self.measure(problem, new)
        info = Info(
            energy=self.known_energy(problem, new),
            inner_iterations=iterations,
            residual=gain,
            transport_cost=transport.pull(after)[0] / (2.0 * dt),
            status=Status.OK if converged else Status.NOT_CONVERGED,
        )
        return new, info

    def measure(self, problem: Problem, state: GeneratorState) -> Measure:
        import torch

        inputs = self._inputs(problem, state.seed)
        with torch.no_grad():
            points = self._generate(torch.from_numpy(state.parameters), torch.from_numpy(inputs), problem)
        return Measure(points.numpy(), *self._carried(problem))

    def known_energy(self, problem: Problem, state: GeneratorState) -> float:
        """Energy of a state, with the entropy of the image: of every sign its mass times that, and the entropy of the mass."""
        import torch
        from scipy.special import xlogy

        energy, diffusion = problem.smooth_energy(self.measure(problem, state)), problem.functional.diffusion
        if diffusion == 0.0:
            return energy
        inputs, weights = self._inputs(problem, state.seed), self._carried(problem)[0]
        volumes = self._log_volumes(torch.from_numpy(state.parameters), torch.from_numpy(inputs), problem).numpy()
        normal = -0.5 * ((inputs[:, :-1] ** 2).sum(axis=1) + (inputs.shape[1] - 1) * math.log(2.0 * math.pi))
        own = xlogy(weights, self.n_neurons * weights).sum()  # n_neurons times a weight is the mass of the sign
        return energy + diffusion * float(weights @ (normal - volumes) + own)

    def _minimize(
        self,
        start: Array,
        inputs: Array,
        problem: Problem,
        objective: Callable[[Any], tuple[Any, float, Any]],
        rounds: int,
        strength: float,
    ) -> tuple[Array, int, float, bool]:
        """Minimize over the network's parameters; return them, the iterations, the last gain, and whether it was small.

        ``objective`` returns of the neurons a term with the gradient of the transport part, its value, and the energy but for
        the entropy, which is that of the map with this strength.
        """
        import torch

        noisy, weights = problem.functional.diffusion > 0.0, torch.from_numpy(self._carried(problem)[0])
        constants, unit = torch.from_numpy(inputs), _unit(problem) ** 2
        unknown = torch.from_numpy(start.copy()).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [unknown],
            max_iter=WINDOW,
            max_eval=3 * WINDOW,
            history_size=50,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimizer.zero_grad()
            pulled, cost, energy = objective(self._generate(unknown, constants, problem))
            if noisy:
                volumes = self._log_volumes(unknown, constants, problem)
                if not torch.isfinite(volumes).all():
                    (pulled / unit).backward()
                    return torch.tensor(first + WALL * (1.0 + abs(first)), dtype=torch.float64)
                energy = energy - strength * (weights @ volumes)
            ((pulled + energy) / unit).backward()
            return torch.as_tensor((cost + energy) / unit).detach()

        first, best = math.inf, start  # infinite: a start that turns an input round
        first = value = float(closure())
        iterations, gain, converged = 0, math.inf, False
        while iterations < rounds * self.max_iterations:
            optimizer.step(closure)
            iterations += WINDOW
            new_value = float(closure())
            if not new_value < value:  # rounding, an overflow, or nothing to gain
                gain, converged = 0.0, new_value == value
                break
            gain, value, best = value - new_value, new_value, unknown.detach().numpy().copy()
            if gain <= self.tolerance * (first - value):
                converged = True
                break
        return best, iterations, unit * gain, converged

    def _pull(self, problem: Problem, transport: SlicedTransport, points: Any) -> tuple[Any, float]:
        """Term with the gradient of d SW2^2 in the neurons, and its value."""
        import torch

        weights, sign = self._carried(problem)
        fixed = points.detach()
        cost, way = transport.pull(Measure(fixed.numpy(), weights, sign))
        goal = fixed + torch.from_numpy(way)
        # Plans on lines are those of the points, so W2^2 differentiates with the plans fixed (envelope theorem).
        return (torch.from_numpy(weights) @ ((points - goal) ** 2).sum(dim=1)), cost

    def _transport(self, problem: Problem, target: Measure, seed: int) -> SlicedTransport:
        return SlicedTransport(target, lines(target.points.shape[1], self.n_projections, seed))

    def _carried(self, problem: Problem) -> tuple[Array, Sign]:
        return _carried(problem, self.n_neurons)

    def _inputs(self, problem: Problem, seed: int) -> Array:
        """Inputs of the network, (atom, param + 1): standard normal numbers and the sign."""
        sign = self._carried(problem)[1]
        normal = np.random.default_rng([seed, 1]).standard_normal((len(sign), problem.initial.points.shape[1]))
        return np.column_stack([normal, sign.astype(float)])

    def _shapes(self, n_parameters: int) -> tuple[tuple[int, int], ...]:
        """Shapes of the matrices: the linear part, and three layers, each with a row for its constants."""
        n_inputs = n_parameters + 1
        return (
            (n_inputs, n_parameters),
            (n_inputs + 1, self.width),
            (self.width + 1, self.width),
            (self.width + 1, n_parameters),
        )

    def _first_parameters(self, problem: Problem, rng: np.random.Generator) -> Array:
        """Standard deviations of the initial measure in the linear part, hidden layers random, no output of theirs yet."""
        initial, spread = problem.initial, _spread(problem)
        linear, *hidden, output = self._shapes(initial.points.shape[1])
        parts = [np.eye(*linear) * (spread / _unit(problem))]
        parts += [rng.standard_normal(shape) / math.sqrt(shape[0]) for shape in hidden]
        return np.concatenate([part.ravel() for part in (*parts, np.zeros(output))])

    def _matrices(self, parameters: Any, problem: Problem) -> list[Any]:
        """Matrices of the network, as in :meth:`_shapes`; views of a tensor (parameter,)."""
        shapes = self._shapes(problem.initial.points.shape[1])
        parts = parameters.split([rows * columns for rows, columns in shapes])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _generate(self, parameters: Any, inputs: Any, problem: Problem) -> Any:
        """Neurons that the network makes, (atom, param)."""
        import torch

        linear, first, second, output = self._matrices(parameters, problem)
        hidden = torch.tanh(inputs @ first[:-1] + first[-1])
        hidden = torch.tanh(hidden @ second[:-1] + second[-1])
        return _unit(problem) * (inputs @ linear + hidden @ output[:-1] + output[-1])

    def _log_volumes(self, parameters: Any, inputs: Any, problem: Problem) -> Any:
        """Log of the determinant of the map's Jacobian in the normal inputs, (atom,); minus infinity where it turns round."""
        import torch

        linear, first, second, output = self._matrices(parameters, problem)
        one = torch.tanh(inputs @ first[:-1] + first[-1])
        two = torch.tanh(one @ second[:-1] + second[-1])
        slopes = ((1.0 - one**2)[:, None, :] * first[:-2]) @ second[:-1]
        jacobian = linear[:-1] + ((1.0 - two**2)[:, None, :] * slopes) @ output[:-1]
        signs, logs = torch.linalg.slogdet(_unit(problem) * jacobian)
        return torch.where(signs > 0.0, logs, -math.inf)


def _energy(problem: Problem, points: Any, weights: Array, sign: Sign) -> Any:
    """Energy of points, a tensor (atom, param), to be differentiated by them."""
    import torch

    from wgfpipe.methods.autograd import energy_of

    functional = problem.functional
    if functional.outputs is not None and problem.has_outputs:
        return energy_of(problem, points, weights, sign)
    fixed = points.detach()
    measure = Measure(fixed.numpy(), weights, sign)
    slope = torch.from_numpy(weights[:, None] * functional.gradient(measure, measure.points, sign))
    return functional.value(measure) + ((points - fixed) * slope).sum()  # the value, with the gradient


def _spread(problem: Problem) -> Array:
    """Standard deviation of each parameter under the initial measure, (param,)."""
    initial = problem.initial
    shares = initial.weights / initial.weights.sum()
    return np.sqrt(shares @ (initial.points - shares @ initial.points) ** 2)


@lru_cache(maxsize=2)
def _unit(problem: Problem) -> float:
    """Length in which the network makes neurons: the size of the initial measure."""
    return power_of_two(float(_spread(problem).max()))


@lru_cache(maxsize=2)
def _carried(problem: Problem, n_neurons: int) -> tuple[Array, Sign]:
    """Masses and signs of the neurons."""
    signs = np.unique(problem.initial.sign)
    masses = [problem.initial.mass(int(sign)) / n_neurons for sign in signs]
    return np.repeat(masses, n_neurons), np.repeat(signs, n_neurons)
