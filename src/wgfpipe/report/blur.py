"""How atoms become pictures: each is blurred by half the gap to its neighbours, so that no lattice shows.

The gap of an atom is that of its own block on a grid, and among particles the distance to the eighth place around it that holds
atoms of its species, over sqrt(2). On a lattice both are its spacing: the ripple of a comb of such Gaussians is
``2 exp(-pi^2 / 2)`` = 1.4 %. Atoms at one place, as of a lattice of more coordinates, count once. The blur of an atom is at
least that of its picture, and at most a multiple of it.

Of a difference colours show what is small, so both measures are blurred more, and alike at every place of the picture: by the
wider of the blurs that both have there. Widths lie between levels, half an octave apart, and an atom is shared among the two
around its own: where they change nothing jumps. Cost: a Gaussian filter a level.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from wgfpipe.measure import Array

PIXELS = 144
"""Pixels along a side of a picture."""

OCTAVES, PER_OCTAVE = 2, 2
"""The blur of an atom is at most 2^OCTAVES times the least, and there are PER_OCTAVE levels to a factor of two."""

NEIGHBOUR, SAME = 8, 1e-3
"""Places around one on a lattice, as far as its diagonal; atoms are at one place within that share of the least blur."""


def shared(place: Array, sign: NDArray[np.int_], weights: Array) -> Array:
    """Masses (sign, PIXELS, PIXELS) of atoms at places in pixels, each shared among the four nearest pixels."""
    corner = np.floor(place).astype(int)
    image = np.zeros((2, PIXELS + 2, PIXELS + 2))  # a rim catches what lies outside
    for k, m in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = np.clip(corner + np.array([k + 1, m + 1]), 0, PIXELS + 1).T
        across, up = np.abs(1 - np.array([k, m]) - place + corner).T
        np.add.at(image, (sign, row, column), across * up * weights)
    return image[:, 1:-1, 1:-1]


def gaps_among(places: Array, sign: NDArray[np.int_], least: float) -> Array:
    """Gap of each atom, (atom,), by the distance to the eighth place around it of its sign; ``least`` is the least blur."""
    gaps = np.zeros(len(places))
    for one in np.unique(sign):
        chosen = np.flatnonzero(sign == one)
        near, of_atom = np.unique(np.round(places[chosen] / (SAME * least)), axis=0, return_inverse=True)
        if len(near) > NEIGHBOUR:
            diagonal = SAME * least * KDTree(near).query(near, NEIGHBOUR + 1)[0][:, -1]
            gaps[chosen] = (diagonal / math.sqrt(2.0))[of_atom.ravel()]
    return gaps


def levels_of(gaps: Array, least: float) -> Array:
    """Level of the blur of each atom, (atom,): a real number, 0 for the least blur."""
    return np.clip(PER_OCTAVE * np.log2(np.maximum(0.5 * gaps / least, 1.0)), 0.0, OCTAVES * PER_OCTAVE)


def blurred(place: Array, sign: NDArray[np.int_], weights: Array, level: Array, blur: float) -> Array:
    """Densities (sign, PIXELS, PIXELS) of atoms at places in pixels, each blurred by its level; ``blur`` is that of level 0."""
    density = np.zeros((2, PIXELS, PIXELS))
    for number in _levels(level):
        share = _share(level, number)
        near = share > 0.0
        if near.any():
            image = shared(place[near], sign[near], (weights * share)[near])
            density += _filtered(image, blur * _factor(number))
    return density


def blurred_alike(parts: list[tuple[Array, Array, Array]], blur: float) -> Array:
    """Density of one measure less that of another, (PIXELS, PIXELS), both blurred alike at every pixel.

    Parameters
    ----------
    parts : list of (Array, Array, Array)
        Of both measures the places in pixels (atom, 2), the masses (atom,), and the levels (atom,).
    blur : float
        Blur of level 0, in pixels.
    """
    every = _levels(np.concatenate([level for _, _, level in parts]))
    widest, images, local = blur * _factor(every[-1]), [], np.zeros((PIXELS, PIXELS))
    for place, weights, level in parts:
        none = np.zeros(len(place), int)
        images.append(shared(place, none, weights)[:1])
        mass, moment = (_filtered(shared(place, none, part)[:1], widest)[0] for part in (weights, weights * level))
        local = np.maximum(local, np.divide(moment, mass, out=np.zeros_like(mass), where=mass > 0.0))
    apart = images[0] - images[1]
    return np.sum([_share(local, number) * _filtered(apart, blur * _factor(number))[0] for number in every], axis=0)


def _levels(level: Array) -> range:
    """Whole levels around those of atoms."""
    return range(math.ceil(level.max(initial=0.0)) + 1)


def _share(level: Array, number: int) -> Array:
    """Share of each level that is counted to a whole one."""
    return np.maximum(1.0 - np.abs(level - number), 0.0)


def _factor(number: int) -> float:
    return 2.0 ** (number / PER_OCTAVE)


def _filtered(image: Array, width: float) -> Array:
    """Images (sign, row, column), blurred along rows and columns."""
    return gaussian_filter(image, (0, width, width), mode="constant", truncate=3.0)
