"""A potential ``F(mu) = int V dmu``: what drives every point alone.

V is one of the shapes of :mod:`wgfpipe.energies.shapes`. With an entropy of strength D beside it the flow is the Fokker-Planck
equation ``d_t rho = div(rho grad V) + D Lap rho``, at rest at exp(-V / D).
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.energies.functional import Functional, Network
from wgfpipe.energies.functional import Potential as BoundPotential
from wgfpipe.energies.outputs import Outputs
from wgfpipe.energies.shaped import Shaped
from wgfpipe.energies.shapes import AnyShape
from wgfpipe.losses import Squared
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space


class Potential(Shaped):
    """Potential of a shape, whose fields stand beside it: ``{kind: potential, shape: quadratic, stiffness: 2}``."""

    kind: Literal["potential"] = "potential"
    shape: AnyShape = Field(
        description="quadratic | double_well | gaussian_mixture | charge | logistic_regression | expression, and its fields "
        "beside"
    )
    title: ClassVar[str] = "potential"
    formula: ClassVar[str] = "∫ V <b>d</b>μ"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
    )
    example: ClassVar[Mapping[str, Any]] = {"shape": {"shape": "quadratic", "stiffness": 1.5, "mean": (0.25, -0.5)}}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        dimension = len(space.parameter_names(x.shape[1]))
        function = self.shape.bound(dimension)
        if space.geometry == "curved":
            raise ValueError(f"a potential is a function of flat coordinates, and those of {space.kind} are curved")
        form = self.shape.quadratic_form(dimension)
        if form is not None and space.geometry == "euclidean":
            matrix, centre = form
            stiffness = float(matrix[0, 0])
            if stiffness >= 0.0 and not centre.any() and np.array_equal(matrix, stiffness * np.eye(dimension)):
                return Network(Outputs(space, x, Squared(np.zeros(0), 0.0), stiffness))  # completes squares
        bound = BoundPotential(function.value, function.gradient, form, self.shape)
        bound.check_periodic(space, x.shape[1])
        return bound
