"""Energies of a measure; adding one is a file here and a line in this list."""

from wgfpipe.energies.cap import Cap
from wgfpipe.energies.entropy import Entropy
from wgfpipe.energies.huber import HuberLoss
from wgfpipe.energies.interaction import Interaction
from wgfpipe.energies.ksd import KSD
from wgfpipe.energies.logistic import LogisticLoss
from wgfpipe.energies.mmd import MMD
from wgfpipe.energies.potential import Potential
from wgfpipe.energies.power import Power
from wgfpipe.energies.quadratic import Quadratic
from wgfpipe.energies.sliced import Sliced
from wgfpipe.energies.squared_loss import SquaredLoss

ENERGIES = (
    SquaredLoss,
    HuberLoss,
    LogisticLoss,
    Quadratic,
    Potential,
    Interaction,
    Entropy,
    Power,
    Cap,
    MMD,
    KSD,
    Sliced,
)
