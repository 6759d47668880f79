"""Scores of the issued forecast of the streets on its day."""

from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.street_scores import Network, StreetScores
from shotspotter_assets.gridding.cells import DECIMALS
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.serving.daily_record import DailyRecord
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.serving.risk_tables import is_replayed, lead_of
from shotspotter_assets.serving.stored_streets import NoStreetRisk, StreetRecord, find_streets_record, read_streets
from shotspotter_assets.serving.street_risk import no_streets, past_alerts
from shotspotter_assets.storage.store import Store
from shotspotter_assets.streets.segments import StreetsFileError, parts_of, read_segments

STREET_SCORES: Final = "street_scores"
ONE_DAY: Final = timedelta(days=1)


class StreetScoreRecord(DailyRecord):
    """The scores of a city's day, or a `note` why there are none; stored as `record.json`."""

    asset = STREET_SCORES

    note: str = ""
    lead: int = 1
    replayed: bool = False
    """Whether the forecast was made after its day."""
    scores: StreetScores | None = None


class _NotScoredError(Exception):
    """A day's streets cannot be scored; the message says why."""


def score_streets(store: Store, city: City, day: date) -> StreetScoreRecord:
    """The scores of a local day that is over, for which a forecast was issued on the day before; or the reason for none."""
    try:
        return _scored(store, city, day)
    except (_NotScoredError, StreetsFileError) as error:
        return StreetScoreRecord(city=city.name, day=day, note=str(error))


def _scored(store: Store, city: City, day: date) -> StreetScoreRecord:
    if city.streets is None:
        raise _NotScoredError(no_streets(city))
    issue_date = day - ONE_DAY
    ranked = find_streets_record(store, city.name, issue_date)
    table = read_streets(store, city.name, issue_date)
    forecast = next_day_forecasts(store, city, day, day).get(day)
    if not isinstance(ranked, StreetRecord) or table is None:
        why = f" {ranked.no_streets}" if isinstance(ranked, NoStreetRisk) else ""
        raise _NotScoredError(f"No streets were ranked on {issue_date}, so {day} has no score.{why}")
    if forecast is None:
        raise _NotScoredError(f"No forecast of the present grid is stored of {issue_date}, so {day} has no score.")
    if not _is_known(store, city, day):
        raise _NotScoredError(f"What happened on {day} is not known yet.")
    segments = read_segments(city)
    parts = parts_of(city, segments)
    network = Network.of(parts, covered_mask(list(zip(*cells_of(forecast), strict=True)), city.shape))
    table = table.filter(pc.is_null(table["shift"]))
    middles = np.round(segments.middles(city)[network.shown], DECIMALS)
    stored = np.column_stack([table[name].to_numpy() for name in ("longitude", "latitude")])
    has_same = np.array_equal(network.shown, table["segment"].to_numpy())
    if not has_same or not np.allclose(middles, stored, rtol=0, atol=1.5 * 10.0**-DECIMALS):
        raise _NotScoredError(
            f"The streets of {city.name} differ from those that were ranked on {issue_date} for {day}: its file of streets "
            "has changed since."
        )
    alerts, days = past_alerts(store, city, day, day), np.array([day], "datetime64[D]")
    observed = network.alert_days(city, parts, alerts, days).toarray()[0]
    probability, mean = (table[name].to_numpy() for name in ("probability", "historical_mean"))
    return StreetScoreRecord(
        city=city.name,
        day=day,
        lead=lead_of(forecast),
        replayed=is_replayed(forecast),
        scores=StreetScores.of(probability, mean, observed, network.metres),
    )


def _is_known(store: Store, city: City, day: date) -> bool:
    try:
        return CityHistory.load(store, city, day, max(city.start, day - ONE_DAY)).last_known >= day
    except DaysNotKnownError:
        return False
