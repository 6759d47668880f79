"""A small city, the cells that are covered in it, and records of it."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.serving.serving_record import NEXT_HOURS, ServingRecord
from shotspotter_assets_tests.made_up_city import made_up_city

TOWN = made_up_city("town", (-77.0, 38.0, -76.0, 39.0), (4, 4), start=date(2024, 1, 1))
ALL_CELLS = np.ones((4, 4), dtype=bool)
SOME_CELLS = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
DAY = date(2024, 6, 1)
CANDIDATE = "stack"
VERDICT = Verdict(
    served=CANDIDATE, candidate=CANDIDATE, best_baseline="ewma", gain=Gain(0.1, 0.05, 0.15, 13),
    predicted_over_observed=1.0, positives=500, reasons=(), outcome="better",
)  # fmt: skip


def serving_record(**changes: Any) -> ServingRecord:
    record = ServingRecord(
        city=TOWN.name, issue_date=DAY, served=CANDIDATE, since=DAY, reasons=("Better.",), last_trained=DAY, fitted_on=DAY,
        version="aa", models={}, without={NEXT_HOURS: "Not fitted."}, lead=1, last_known=DAY, inputs=("one",),
        validation=(date(2024, 3, 2), DAY), covered=[(0, 0)], level=(-0.1, 0.1), data_sha256="cc", versions={},
        gate=VERDICT,
    )  # fmt: skip
    return record.model_copy(update=changes)
