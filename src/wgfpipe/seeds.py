"""Seeds of the stages of a cell."""

import zlib

import numpy as np


def seed_of(seed: int, stage: str, label: str = "", repetition: int = 0) -> np.random.SeedSequence:
    """Seed of one stage of a cell: an independent child of the cell's seed, named and not counted, one a repetition."""
    names = zlib.crc32(stage.encode()), zlib.crc32(label.encode())
    return np.random.SeedSequence(seed, spawn_key=names if repetition == 0 else (*names, repetition))
