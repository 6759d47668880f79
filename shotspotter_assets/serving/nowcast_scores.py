"""Scores of a day's nowcasts: forecasts of the next minutes compared with the incidents that began."""

from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.gridding.cells import Plane, cell_middles
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.serving.daily_record import DailyRecord
from shotspotter_assets.serving.incidents import stored_alerts
from shotspotter_assets.serving.nowcasts import NOWCASTS
from shotspotter_assets.storage.file_names import ISSUED_FILE
from shotspotter_assets.storage.store import Partition, Store

Booleans = npt.NDArray[np.bool_]

NOWCAST_SCORES: Final = "nowcast_scores"
NEAR_METRES: Final = 500.0
NEAR_MINUTES: Final = 15
"""A cell is near an incident if its middle is within `NEAR_METRES`, for `NEAR_MINUTES`."""


class MinutesScores(BaseModel):
    """Forecasts of one length compared with the outcome, in all covered cells or in some.

    Attributes:
        came: cells in which an incident began within the minutes, over all nowcasts.
        expected: sum of the probabilities; `expected_even` of those by the hour's forecast alone.
        gain_over_even: in nats per cell in which an incident began; None where there was none.
    """

    model_config = ConfigDict(frozen=True)

    nowcasts: int
    came: int
    expected: float
    expected_even: float
    gain_over_even: float | None


class NowcastScoreRecord(DailyRecord):
    """The scores of a city's day; stored as `record.json`."""

    asset = NOWCAST_SCORES

    note: str = ""
    """The reason for no scores."""
    nowcasts: int = 0
    incidents: int = 0
    """Of the day, in all cells."""
    scores: dict[str, MinutesScores] = Field(default_factory=dict)
    """By minutes, as 15m; `near` for cells within 500 m of an incident of the 15 minutes before."""
    near: dict[str, MinutesScores] = Field(default_factory=dict)


def issued_minutes(store: Store, city: City, day: date) -> pa.Table | None:
    """All nowcasts of a day (`ISSUED_SCHEMA`), as they were made; None where there are none."""
    partition = Partition(NOWCASTS, city.name, "date", day)
    return store.read_table(partition, ISSUED_FILE) if store.exists(partition, ISSUED_FILE) else None


def score_nowcasts(city: City, day: date, issued: pa.Table | None, incidents: Incidents) -> NowcastScoreRecord:
    """The scores of a day.

    Args:
        city: whose.
        day: a local day that is over.
        issued: its nowcasts; those whose minutes end after midnight are not scored, as the next day may not be known yet.
        incidents: of the day and the one before.
    """
    start, end = (day_start(at, city.zone).timestamp() for at in (day, day + timedelta(days=1)))
    of_day = len(incidents.within(start, end))
    if issued is None or not len(issued):
        return NowcastScoreRecord(
            city=city.name, day=day, note="No nowcast of the next minutes was made on the day.", incidents=of_day
        )
    everywhere, near = dict[str, MinutesScores](), dict[str, MinutesScores]()
    for minutes in sorted(issued["minutes"].unique().to_pylist()):
        of_length = issued.filter(pc.equal(issued["minutes"], minutes))
        made = seconds_of(of_length["starts_utc"].to_numpy())
        of_length = of_length.filter(pa.array(made + 60 * minutes <= end))
        came, is_near = came_and_near(city, of_length, incidents)
        everywhere[f"{minutes}m"] = _scores(of_length, came)
        near[f"{minutes}m"] = _scores(of_length, came, is_near)
    nowcasts = len(issued["starts_utc"].unique())
    return NowcastScoreRecord(
        city=city.name, day=day, nowcasts=nowcasts, incidents=of_day, scores=everywhere, near=near
    )


def came_and_near(city: City, issued: pa.Table, incidents: Incidents) -> tuple[Booleans, Booleans]:
    """(whether an incident began in the cell within the minutes, whether one had begun near it before), each (rows,)."""
    made = seconds_of(issued["starts_utc"].to_numpy())
    minutes, row, column = (issued[name].to_numpy() for name in ("minutes", "row", "column"))
    middles = Plane.of(city).metres(np.column_stack(cell_middles(city, row, column)))
    came, near = np.zeros(len(issued), bool), np.zeros(len(issued), bool)
    for second, metres, place in zip(incidents.seconds, incidents.metres, incidents.places, strict=True):
        here = (row == place[0]) & (column == place[1])
        came |= here & (made < second) & (second <= made + 60 * minutes)
        close = np.hypot(*(middles - metres).T) <= NEAR_METRES
        near |= close & (second <= made) & (made <= second + 60 * NEAR_MINUTES)
    return came, near


def _scores(issued: pa.Table, came: Booleans, chosen: Booleans | slice = slice(None)) -> MinutesScores:
    probability, even = (issued[name].to_numpy()[chosen] for name in ("probability", "even"))
    came = came[chosen]
    return MinutesScores(
        nowcasts=len(issued["starts_utc"].unique()),
        came=int(came.sum()),
        expected=float(probability.sum(dtype=np.float64)),
        expected_even=float(even.sum(dtype=np.float64)),
        gain_over_even=ratio(float((log_losses(even, came) - log_losses(probability, came)).sum()), int(came.sum())),
    )


def incidents_around(store: Store, city: City, day: date) -> Incidents:
    """The incidents of a stored day and the one before."""
    return Incidents.of_alerts(stored_alerts(store, city, day - timedelta(days=1), day), city)
