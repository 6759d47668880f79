"""Scores of a day's nowcasts against the incidents that began."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, NOWCAST_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class MinutesScores(BaseModel):
    """Scores of forecasts of one length, over all nowcasts.

    `came` counts cells in which an incident began, and `expected` sums the probabilities. `gain_over_even` is in nats per such
    cell, over the hour's forecast spread evenly; None without any.
    """

    model_config = ConfigDict(frozen=True)

    nowcasts: int
    came: int
    expected: float
    gain_over_even: float | None


class NowcastScoreRecord(StoredRecord):
    """Scores of a city's day."""

    stored_as = NOWCAST_SCORES

    scored_date: date
    incidents: int
    """Number in all cells."""
    nowcasts: int = 0
    scores: dict[str, MinutesScores] = Field(default_factory=dict)
    """Scores by minutes, as 15m."""


def issued_minutes(store: Store, city: City, day: date) -> pa.Table | None:
    """Read all nowcasts of a day (`catalogue.ISSUED_MINUTES`); None without any."""
    is_stored = store.exists(ISSUED_MINUTES, city.name, day)
    return store.read_table(ISSUED_MINUTES, city.name, day) if is_stored else None


def score_nowcasts(city: City, day: date, issued: pa.Table | None, incidents: Incidents) -> NowcastScoreRecord:
    """Score a past local day from its nowcasts and incidents.

    Nowcasts whose minutes end after midnight are not scored, as the next day may not be known yet.
    """
    start, end = (day_start(at, city.zone).timestamp() for at in (day, day + timedelta(days=1)))
    of_day = len(incidents.within(start, end))
    if issued is None:
        return NowcastScoreRecord(city=city.name, scored_date=day, incidents=of_day)
    scores = {}
    for minutes in sorted(issued["minutes"].unique().to_pylist()):
        of_length = issued.filter(pc.equal(issued["minutes"], minutes))
        made = seconds_of(of_length["starts_utc"].to_numpy())
        scores[f"{minutes}m"] = _scores(of_length.filter(pa.array(made + 60 * minutes <= end)), incidents)
    nowcasts = len(issued["starts_utc"].unique())
    return NowcastScoreRecord(city=city.name, scored_date=day, incidents=of_day, nowcasts=nowcasts, scores=scores)


def came(issued: pa.Table, incidents: Incidents) -> npt.NDArray[np.bool_]:
    """Flag rows in whose cell an incident began within the minutes, shape (rows,)."""
    made = seconds_of(issued["starts_utc"].to_numpy())
    minutes, row, column = (issued[name].to_numpy() for name in ("minutes", "row", "column"))
    has_come = np.zeros(len(issued), bool)
    for second, place in zip(incidents.seconds, incidents.places, strict=True):
        here = (row == place[0]) & (column == place[1])
        has_come |= here & (made < second) & (second <= made + 60 * minutes)
    return has_come


def _scores(issued: pa.Table, incidents: Incidents) -> MinutesScores:
    probability, even = (issued[name].to_numpy() for name in ("probability", "even"))
    has_come = came(issued, incidents)
    gained = log_losses(even, has_come) - log_losses(probability, has_come)
    return MinutesScores(
        nowcasts=len(issued["starts_utc"].unique()),
        came=int(has_come.sum()),
        expected=float(probability.sum(dtype=np.float64)),
        gain_over_even=ratio(float(gained.sum()), int(has_come.sum())),
    )
