"""What a point may be, a neuron or a point of a space; adding one is a file here and a line in one of these lists."""

from wgfpipe.spaces.euclidean import Euclidean
from wgfpipe.spaces.pair import Pair
from wgfpipe.spaces.signed import Signed
from wgfpipe.spaces.small_network import SmallNetwork
from wgfpipe.spaces.sphere import Sphere
from wgfpipe.spaces.torus import Torus
from wgfpipe.spaces.weight_alpha import WeightAlpha

PARAMETRIZATIONS = (Signed, WeightAlpha, Pair, Sphere, SmallNetwork)
"""Ways of writing a network as a measure: points are neurons or whole networks, and need data."""

SPACES = (Euclidean, Torus)
"""Spaces of points that need no data."""
