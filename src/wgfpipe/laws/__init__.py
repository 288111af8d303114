"""Laws of a measure, as that at time 0; adding one is a file here and a line in this list."""

from typing import Annotated, Any, Union

from pydantic import Field

from wgfpipe.laws.ball import Ball
from wgfpipe.laws.barenblatt import Barenblatt
from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.laws.mixture import Mixture
from wgfpipe.laws.ring import Ring
from wgfpipe.laws.samples import Samples
from wgfpipe.laws.small_scale import SmallScale
from wgfpipe.laws.uniform import Uniform

LAWS = (Gaussian, Uniform, Ring, Ball, SmallScale, Mixture, Barenblatt)
"""Those with a density."""

INITIALS = (*LAWS, Samples)
"""What a law may be called as the start of a cell, or as the target of an energy: also one without a density."""

AnyLaw: Any = Annotated[Union[INITIALS], Field(discriminator="kind")]  # noqa: UP007 - the classes are data
"""Type of a field that holds a law, told apart by its ``kind``."""
