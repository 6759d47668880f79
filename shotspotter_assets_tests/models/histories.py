"""Histories of a small made-up city for the forecasters' tests."""

from datetime import date

import numpy as np

from shotspotter_assets.calendar.weekdays import weekdays
from shotspotter_assets.cities.city import City
from shotspotter_assets.models.history import History

CITY = City.model_validate(
    {
        "name": "small_city",
        "time_zone": "America/New_York",
        "start": "2021-01-01",
        "box": {"west": -77.0, "south": 38.0, "east": -76.9, "north": 38.1},
        "grid": {"rows": 6, "columns": 5},
        "source": {"kind": "simulated"},
    }
)
COVERED = np.ones((6, 5), dtype=bool)
COVERED[0, :2] = False
FIRST_DAY = date(2021, 4, 1)
TRAIN, VALIDATION, TEST = range(200), range(200, 260), range(260, 290)


def history(days: int = 290, seed: int = 0, late: bool = True) -> History:
    """Steady hot spots; twice as many alerts on weekends; on firework days alerts everywhere."""
    random = np.random.default_rng(seed)
    empty = History(CITY, FIRST_DAY, np.zeros((days, 4, 6, 5), np.uint16), COVERED)
    weekend = (weekdays(empty.days()) >= 5)[:, None, None, None]
    firework = np.isin(empty.days().astype(str), ["2021-07-03", "2021-07-04", "2021-07-05", "2021-12-31", "2022-01-01"])
    rate = random.gamma(0.6, 0.15, (1, 1, 6, 5)) * np.array([0.4, 0.3, 0.2, 0.1])[None, :, None, None]
    rate = rate * (1 + weekend) + 0.3 * firework[:, None, None, None]
    counts = random.poisson(rate * COVERED).astype(np.uint16)
    of_late = random.binomial(counts.sum(axis=1, dtype=np.int64), 0.3).astype(np.float32)
    return History(CITY, FIRST_DAY, counts, COVERED, of_late if late else None)


def changed(of: History, first: int) -> History:
    """The same history with other counts from day `first` on."""
    counts, late = of.counts.copy(), None if of.late is None else of.late.copy()
    counts[first:] = 7
    if late is not None:
        late[first:] = 5
    return History(of.city, of.first_day, counts, of.covered, late)
