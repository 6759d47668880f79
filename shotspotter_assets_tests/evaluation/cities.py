"""Small made-up cities for the evaluation tests, and counts of one with hot spots, quiet cells and uncovered cells."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import City

FIRST_DAY = date(2021, 1, 1)
COVERED = np.ones((6, 6), dtype=bool)
COVERED[0, :3] = False
TRAIN, VALIDATION, TEST = range(260), range(260, 320), range(320, 360)


def counts(days: int = 360, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rate = random.gamma(0.5, 0.12, (1, 1, 6, 6)) * np.array([0.4, 0.3, 0.2, 0.1])[None, :, None, None]
    return random.poisson(np.repeat(rate, days, axis=0) * COVERED).astype(np.uint16)


def made_up_city(name: str = "made_up", size: int = 6, **more: Any) -> City:
    described = {
        "name": name,
        "time_zone": "America/New_York",
        "start": date(2019, 1, 1),
        "box": {"west": 0.0, "south": 0.0, "east": 4.0, "north": 4.0},
        "grid": {"rows": size, "columns": size},
        "source": {"kind": "simulated", "seed": 1, "alerts_per_day": 5},
    }
    return City.model_validate(described | more)
