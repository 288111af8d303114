"""What an energy says of itself once it is bound to a space and to the data it reads.

An energy is a sum of terms, ``F = Phi(int a dmu) + int V dmu + ...``. A term says its value, its first variation, and the
gradient of that; and the views that implicit steps need, where it has them: outputs, in which a step is an equation in as many
unknowns as there are samples, and a potential. A sum has a view only where all of its terms allow it.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from wgfpipe.energies.losses import Loss, Squared
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import NOTHING, Parametrization

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off: 2 log2 of their number and more
for the terms themselves."""
