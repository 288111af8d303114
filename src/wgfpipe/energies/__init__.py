"""Energies of a measure; adding one is a file here and a line in this list."""

from wgfpipe.energies.entropy import Entropy
from wgfpipe.energies.huber import HuberLoss
from wgfpipe.energies.interaction import Interaction
from wgfpipe.energies.logistic import LogisticLoss
from wgfpipe.energies.potential import Potential
from wgfpipe.energies.quadratic import Quadratic
from wgfpipe.energies.sliced import Sliced
from wgfpipe.energies.squared_loss import SquaredLoss

ENERGIES = (SquaredLoss, HuberLoss, LogisticLoss, Quadratic, Potential, Interaction, Sliced, Entropy)
