"""A small made-up city for the evaluation tests: steady hot spots, quiet cells, and cells that no sensor hears."""

from datetime import date

import numpy as np

FIRST_DAY = date(2021, 1, 1)
COVERED = np.ones((6, 6), dtype=bool)
COVERED[0, :3] = False
TRAIN, VALIDATION, TEST = range(260), range(260, 320), range(320, 360)


def counts(days: int = 360, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rate = random.gamma(0.5, 0.12, (1, 1, 6, 6)) * np.array([0.4, 0.3, 0.2, 0.1])[None, :, None, None]
    return random.poisson(np.repeat(rate, days, axis=0) * COVERED).astype(np.uint16)
