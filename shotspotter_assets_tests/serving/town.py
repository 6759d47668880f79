"""A small city, the cells that are covered in it, and records of it."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import Box, City, Grid
from shotspotter_assets.cities.source_settings import SimulatedCitySource
from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.serving.record import NEXT_HOURS, ServingRecord

TOWN = City(
    name="town",
    time_zone="America/New_York",
    start=date(2024, 1, 1),
    box=Box(west=-77.0, south=38.0, east=-76.0, north=39.0),
    grid=Grid(rows=4, columns=4),
    source=SimulatedCitySource(kind="simulated"),
)
ALL_CELLS = np.ones((4, 4), dtype=bool)
SOME_CELLS = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
DAY = date(2024, 6, 1)
CANDIDATE = "stack"
GAIN = Gain(0.1, 0.05, 0.15, 13)


def verdict(passed: bool = True, served: str = CANDIDATE, *reasons: str) -> dict[str, Any]:
    """Fields of a verdict."""
    return {
        "served": served,
        "candidate": CANDIDATE,
        "best_baseline": "ewma",
        "gain": GAIN,
        "predicted_over_observed": 1.0,
        "positives": 500,
        "reasons": reasons,
        "outcome": "better" if passed else "worse",
    }


def serving_record(**changes: Any) -> ServingRecord:
    """A record of `DAY` with the candidate in service."""
    record = ServingRecord(
        city=TOWN.name,
        day=DAY,
        served=CANDIDATE,
        since=DAY,
        reasons=("Better.",),
        last_trained=DAY,
        fitted_on=DAY,
        version="aa",
        models={},
        without={NEXT_HOURS: "Not fitted."},
        lead=1,
        last_known=DAY,
        inputs=("one",),
        validation=(date(2024, 3, 2), DAY),
        covered=[(0, 0)],
        level=(-0.1, 0.1),
        data_sha256="cc",
        versions={},
        gate=Verdict(**verdict()),
    )
    return record.model_copy(update=changes)
