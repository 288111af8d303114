"""Ways of writing a two-layer network as a measure; adding one is a file here and a line in this list."""

from wgfpipe.spaces.pair import Pair
from wgfpipe.spaces.signed import Signed
from wgfpipe.spaces.sphere import Sphere
from wgfpipe.spaces.weight_alpha import WeightAlpha

PARAMETRIZATIONS = (Signed, WeightAlpha, Pair, Sphere)
