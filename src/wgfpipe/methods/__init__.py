"""Ways of computing the flow; adding one is a file here and a line in this list."""

from wgfpipe.methods.back_and_forth import BackAndForth
from wgfpipe.methods.blob import Blob
from wgfpipe.methods.emd_prox import EMDProx
from wgfpipe.methods.exact import Exact
from wgfpipe.methods.exact_map import ExactMap
from wgfpipe.methods.finite_volume import FiniteVolumes
from wgfpipe.methods.flow import Flow
from wgfpipe.methods.gd import GradientDescent
from wgfpipe.methods.jko_dykstra import JKODykstra
from wgfpipe.methods.jko_emd import JKOEMD
from wgfpipe.methods.jko_entropic import JKOEntropic
from wgfpipe.methods.jko_exact import JKOExact
from wgfpipe.methods.jko_gaussian import JKOGaussian
from wgfpipe.methods.jko_icnn import JKOICNN
from wgfpipe.methods.jko_lagrangian import JKOLagrangian
from wgfpipe.methods.jko_particles import JKOParticles
from wgfpipe.methods.jko_sliced import JKOSliced
from wgfpipe.methods.jko_sliced_generator import JKOSlicedGenerator
from wgfpipe.methods.jko_sliced_grid import JKOSlicedGrid
from wgfpipe.methods.langevin import Langevin
from wgfpipe.methods.linearized_jko import LinearizedJKO
from wgfpipe.methods.matched import Matched
from wgfpipe.methods.negative_sobolev import NegativeSobolev
from wgfpipe.methods.noise_injection import NoiseInjection
from wgfpipe.methods.primal_dual import PrimalDual
from wgfpipe.methods.prox import Prox
from wgfpipe.methods.wfr import WassersteinFisherRao

METHODS = (
    GradientDescent,
    Flow,
    Prox,
    EMDProx,
    JKODykstra,
    JKOEMD,
    JKOEntropic,
    JKOExact,
    JKOICNN,
    JKOLagrangian,
    JKOParticles,
    JKOSliced,
    JKOSlicedGrid,
    JKOSlicedGenerator,
    Langevin,
    Blob,
    NoiseInjection,
    WassersteinFisherRao,
    NegativeSobolev,
    Matched,
    FiniteVolumes,
    LinearizedJKO,
    PrimalDual,
    BackAndForth,
    Exact,
    ExactMap,
    JKOGaussian,
)
