"""Ways of writing a two-layer network as a measure; adding one is a file here and a line in this list."""

from wgfpipe.parametrizations.pair import Pair
from wgfpipe.parametrizations.signed import Signed
from wgfpipe.parametrizations.sphere import Sphere
from wgfpipe.parametrizations.weight_alpha import WeightAlpha

PARAMETRIZATIONS = (Signed, WeightAlpha, Pair, Sphere)
