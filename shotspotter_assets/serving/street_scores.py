"""Scores of ranked streets on their forecast date."""

from datetime import date, timedelta

import numpy as np
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.serving.street_ranking import past_alerts
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import STREET_SCORES, STREETS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.streets.segments import StreetsFileError, parts_of, read_segments
from shotspotter_assets.streets.shares import nearest_parts


class StreetScoreRecord(StoredRecord):
    """Scores of a city's day, or the reason for none."""

    stored_as = STREET_SCORES

    scored_date: date = Field(description="Local day for which the streets were ranked.")
    note: str = Field("", description='Reason for no score, or "".')
    observed: int = Field(0, description="Number of segments with an alert.")
    predicted: float = Field(0.0, description="Sum of the segments' probabilities.")
    log_loss: float | None = Field(None, description="Mean over the segments, nats.")
    gain_over_even: float | None = Field(None, description="Gain over an even spread, nats per segment with an alert.")


def score_streets(store: Store, city: City, scored_date: date) -> StreetScoreRecord:
    """Score a past local day from the streets ranked on the day before, or return the reason for no score."""
    issue_date = scored_date - timedelta(days=1)
    table = store.find_table(STREETS, city.name, issue_date)

    def without(note: str) -> StreetScoreRecord:
        return StreetScoreRecord(city=city.name, scored_date=scored_date, note=note)

    if table is None:
        return without(f"No streets were ranked on {issue_date}, so {scored_date} has no score.")
    if DayTable.read(store, city.name).state(scored_date) not in ("known", "silent"):
        return without(f"Alerts of {scored_date} are not known yet.")
    try:
        segments = read_segments(city)
    except StreetsFileError as error:
        return without(str(error))
    table = table.filter(pc.is_null(table["shift"]))
    segment, metres, probability = (table[name].to_numpy() for name in ("segment", "metres", "probability"))
    if segment.max() >= len(segments) or not np.array_equal(segments.metres[segment].round(1), metres):
        return without(f"The file of streets of {city.name} has changed since streets were ranked on {issue_date}.")
    parts = parts_of(city, segments)
    part = nearest_parts(city, parts, past_alerts(store, city, scored_date, scored_date))
    observed = np.isin(segment, parts.segment[part[part >= 0]])
    even = -np.expm1(np.log1p(-probability).sum() * metres / metres.sum())
    losses = log_losses(probability, observed)
    gained = log_losses(even, observed) - losses
    return StreetScoreRecord(
        city=city.name,
        scored_date=scored_date,
        observed=int(observed.sum()),
        predicted=float(probability.sum()),
        log_loss=float(losses.mean()),
        gain_over_even=ratio(gained.sum(), int(observed.sum())),
    )
