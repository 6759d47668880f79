"""Small made-up cities for the evaluation tests, and counts of one with hot spots, quiet cells and uncovered cells."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import covered_cells
from shotspotter_assets.models.trained_models import FoldRecord
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST_DAY = date(2021, 1, 1)
COVERED = np.ones((6, 6), dtype=bool)
COVERED[0, :3] = False
TRAIN = range(260)
VALIDATION = range(260, 320)
TEST = range(320, 360)


def counts(days: int = 360, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    rate = random.gamma(0.5, 0.12, (1, 1, 6, 6)) * np.array([0.4, 0.3, 0.2, 0.1])[None, :, None, None]
    return random.poisson(np.repeat(rate, days, axis=0) * COVERED).astype(np.uint16)


def square_city(name: str = "made_up", size: int = 6, **more: Any) -> City:
    return made_up_city(name, (0.0, 0.0, 4.0, 4.0), (size, size), start=date(2019, 1, 1), **more)


def fold_record(city: City, **more: Any) -> FoldRecord:
    ends = {"train": (TRAIN[0], TRAIN[-1]), "validation": (VALIDATION[0], VALIDATION[-1])}
    windows = {name: tuple(FIRST_DAY + timedelta(days=day) for day in of_window) for name, of_window in ends.items()}
    return FoldRecord(
        city=city.name, cutoff=FIRST_DAY + timedelta(days=TEST.start), covered=covered_cells(COVERED), config={},
        versions={}, types_by=None, weekly_offset=(0.0, 0.0), **windows,
        **{"data_sha256": sha256(counts()[: TEST.start].tobytes()), "models": {}, "served": "", "without": {}, **more},
    )  # fmt: skip
