"""Scores of the issued forecast of the streets on its day."""

from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.serving.issued_streets import read_streets
from shotspotter_assets.serving.street_ranking import past_alerts
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import STREET_SCORES
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.streets.segments import StreetsFileError, parts_of, read_segments
from shotspotter_assets.streets.shares import nearest_parts

ONE_DAY: Final = timedelta(days=1)


class StreetScoreRecord(StoredRecord):
    """Scores of a city's day, or the reason for none (`note`).

    `observed` counts segments with an alert, `predicted` sums the probabilities, `log_loss` is a mean over segments.
    `gain_over_even` is in nats per segment with an alert, over equal hazard spread evenly by length; None without alerts.
    """

    stored_as = STREET_SCORES

    scored_date: date
    note: str = ""
    observed: int = 0
    predicted: float = 0.0
    log_loss: float | None = None
    gain_over_even: float | None = None


def score_streets(store: Store, city: City, day: date) -> StreetScoreRecord:
    """Score a past local day from the streets ranked on the day before, or return the reason for no score."""
    issue_date = day - ONE_DAY
    table = read_streets(store, city.name, issue_date)

    def without(note: str) -> StreetScoreRecord:
        return StreetScoreRecord(city=city.name, scored_date=day, note=note)

    if table is None:
        return without(f"No streets were ranked on {issue_date}, so {day} has no score.")
    if DayTable.read(store, city.name).state(day) not in ("known", "silent"):
        return without(f"What happened on {day} is not known yet.")
    try:
        segments = read_segments(city)
    except StreetsFileError as error:
        return without(str(error))
    table = table.filter(pc.is_null(table["shift"]))
    segment, metres, probability = (table[name].to_numpy() for name in ("segment", "metres", "probability"))
    if segment.max() >= len(segments) or not np.array_equal(segments.metres[segment].round(1), metres):
        return without(f"The file of streets of {city.name} has changed since streets were ranked on {issue_date}.")
    parts = parts_of(city, segments)
    part = nearest_parts(city, parts, past_alerts(store, city, day, day))
    observed = np.isin(segment, parts.segment[part[part >= 0]])
    losses = log_losses(probability, observed)
    gained = log_losses(_even(probability, metres), observed) - losses
    return StreetScoreRecord(
        city=city.name,
        scored_date=day,
        observed=int(observed.sum()),
        predicted=float(probability.sum()),
        log_loss=float(losses.mean()),
        gain_over_even=ratio(gained.sum(), int(observed.sum())),
    )


def _even(probability: npt.NDArray[np.float64], metres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities if the total hazard were spread evenly over all metres, shape (segments,)."""
    return np.asarray(-np.expm1(np.log1p(-probability).sum() * metres / metres.sum()))
