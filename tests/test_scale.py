"""Units mean nothing: a problem in other units of labels and neurons has the same solution in those units."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import every_method, home, make_problem

import wgfpipe
from wgfpipe.energies.terms import Terms
from wgfpipe.grid.grid import Grid


def in_units(problem, unit):
    """The problem with labels, neurons and grid in units of ``1 / unit``; flow time is the same.

    Outputs scale like labels if a neuron is 1-homogeneous, and if it is 2-homogeneous with inputs divided by the unit. Then
    potentials and squared distances scale like the square.
    """
    start, grid = problem.initial, problem.grid
    if grid is not None:
        grid = Grid(tuple(tuple(unit * axis for axis in axes) for axes in grid.blocks), grid.signs)
    scaled, law = problem.energy, problem.law
    if problem.functional.diffusion > 0.0:  # D scales like a squared distance; the potential is quadratic
        terms = {name: term.model_dump() for name, term in problem.energy.terms.items()}
        terms["noise"]["strength"] *= unit**2
        scaled = Terms(terms=terms)
        law = law.model_copy(update={"mean": tuple(unit * x for x in law.mean), "std": unit * law.std})
    return replace(
        problem,
        energy=scaled,
        law=law,
        x=problem.x if problem.parametrization.kind == "signed" else problem.x / unit,
        y=unit * problem.y,
        initial=wgfpipe.Measure(unit * start.points, start.weights, start.sign),
        grid=grid,
    )


@pytest.mark.parametrize("method", every_method(0.25), ids=lambda method: method.kind)
def test_a_power_of_two_as_a_unit_changes_no_digit(method):
    """Labels of 1e-10 or of 1e8: the same statuses, iterations, and measures in their units.

    Powers of two round nowhere, so results are equal but for library code that takes sums in another order or looks at
    numbers of size one: 1e-9 of the units, far below what any tolerance given in numbers of size one would leave.
    """
    if "max_iterations" in type(method).model_fields:  # converged or not: the same
        method = method.model_copy(update={"max_iterations": 40})
    if "max_plans" in type(method).model_fields:
        method = method.model_copy(update={"max_plans": 2})
    problem = home(method, make_problem(14))
    plain = wgfpipe.solve(problem, method, method.dt, 2)
    for unit in (2.0**-34, 2.0**27):
        scaled = method
        if getattr(method, "diffusion", None) is not None:
            scaled = method.model_copy(update={"diffusion": unit**2 * method.diffusion})
        other = wgfpipe.solve(in_units(problem, unit), scaled, method.dt, 2)
        np.testing.assert_array_equal(other["status"], plain["status"])
        np.testing.assert_array_equal(other["inner_iterations"], plain["inner_iterations"])
        np.testing.assert_allclose(other["points"] / unit, plain["points"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(other["weights"], plain["weights"], rtol=0, atol=1e-9)
        if problem.functional.diffusion == 0.0:  # the entropy of a density knows the unit
            np.testing.assert_allclose(other["step_energy"] / unit**2, plain["step_energy"], rtol=1e-9)
