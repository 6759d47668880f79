"""Scores of a day's nowcasts against the incidents that began."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.next_hours.incident_points import Incidents, seconds_of
from shotspotter_assets.storage.arrays import Booleans
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, NOWCAST_SCORES
from shotspotter_assets.storage.stored_record import StoredRecord


@dataclass(frozen=True)
class MinutesScores:
    """Scores of forecasts of one length, over all nowcasts."""

    nowcasts: int
    observed: int  # number of cells in which an incident began
    expected: float  # sum of the probabilities
    gain_over_even: float | None  # gain over the hour's forecast spread evenly, nats by observed cell


class NowcastScoreRecord(StoredRecord):
    """Scores of a city's day."""

    stored_as = NOWCAST_SCORES

    scored_date: date = Field(description="Local day of the nowcasts and incidents.")
    incidents: int = Field(description="Number of incidents that began, in all cells.")
    nowcasts: int = Field(0, description="Number of nowcasts.")
    scores: dict[str, MinutesScores] = Field({}, description="Scores by length of the forecast, such as 15m.")


def score_nowcasts(city: City, scored_date: date, issued: pa.Table | None, incidents: Incidents) -> NowcastScoreRecord:
    """Score a past local day from its nowcasts (`catalogue.ISSUED_MINUTES`; None without any) and incidents."""
    start, end = (day_start(day, city.zone).timestamp() for day in (scored_date, scored_date + timedelta(days=1)))
    if issued is None:
        issued = ISSUED_MINUTES.schema.empty_table()
    scores = {}
    for minutes in sorted(issued["minutes"].unique().to_pylist()):
        of_length = issued.filter(pc.equal(issued["minutes"], minutes))
        ends = seconds_of(of_length["starts_utc"].to_numpy()) + 60 * minutes
        # Without those whose minutes end after midnight: the next day may not be known yet.
        scores[f"{minutes}m"] = _scores(of_length.filter(pa.array(ends <= end)), incidents)
    return NowcastScoreRecord(
        city=city.name,
        scored_date=scored_date,
        incidents=len(incidents.within(start, end)),
        nowcasts=len(issued["starts_utc"].unique()),
        scores=scores,
    )


def has_new_incident(issued: pa.Table, incidents: Sequence[tuple[float, int, int]]) -> Booleans:
    """Flag rows in whose cell an incident (`Incidents.points`) began within the minutes, shape (rows,)."""
    starts = seconds_of(issued["starts_utc"].to_numpy())
    minutes, row, column = (issued[name].to_numpy() for name in ("minutes", "row", "column"))
    flags = np.zeros(len(issued), bool)
    for second, in_row, in_column in incidents:
        in_cell = (row == in_row) & (column == in_column)
        flags |= in_cell & (starts < second) & (second <= starts + 60 * minutes)
    return flags


def _scores(issued: pa.Table, incidents: Incidents) -> MinutesScores:
    """Score the rows of forecasts of one length."""
    probability, even = (issued[name].to_numpy() for name in ("probability", "even"))
    observed = has_new_incident(issued, incidents.points)
    gained = log_losses(even, observed) - log_losses(probability, observed)
    return MinutesScores(
        nowcasts=len(issued["starts_utc"].unique()),
        observed=int(observed.sum()),
        expected=float(probability.sum(dtype=np.float64)),
        gain_over_even=ratio(float(gained.sum()), int(observed.sum())),
    )
