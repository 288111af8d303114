"""Laws of a measure at time 0; adding one is a file here and a line in this list."""

from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.laws.ring import Ring
from wgfpipe.laws.small_scale import SmallScale
from wgfpipe.laws.uniform import Uniform

INITIALS = (Gaussian, Uniform, Ring, SmallScale)
