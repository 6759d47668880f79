"""Risk forecasts of a city by issue date, for the day after it."""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Product, for_each_target
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import FORECAST, RISK_MAP, Asset

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.issued_forecasts import Forecast, ForecastRecord

FORECAST_FACTS: Final = {
    "forecast_date", "lead", "last_known", "served", "issued_at", "replayed",
    "expected_alerts", "expected_alerts_low", "expected_alerts_high",
}  # fmt: skip
"""Fields of the record that the panel shows."""


@Product(Asset.RISK_FORECASTS, kinds={"parquet"}, code_version="2", table=FORECAST)
@for_each_target
def risk_forecasts(log: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    """Risk by cell on the day after the issue date and in the hours from its midnight, from the days known so far.

    With the expected alerts by hour, the 20 cells with the highest risk and the reasons, and the map as GeoJSON.
    Issued from noon of the issue date on, and refreshed when days arrive. Once its day has begun, a forecast stays as
    issued, unless the grid has changed; a late one stays once its day is over. `versions` has all issued versions.
    Beyond the city's longest lead nothing is issued.
    """
    from shotspotter_assets.forecasts.approval import WaitingModels
    from shotspotter_assets.forecasts.daily_forecast import forecast_day, withheld
    from shotspotter_assets.forecasts.issued_forecasts import issued_on_grid
    from shotspotter_assets.forecasts.seals import write_sealed
    from shotspotter_assets.forecasts.serving_record import ForecastWindow, ServingRecord
    from shotspotter_assets.forecasts.shadow import forecast_shadow
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.storage.fingerprints import sha256

    issued = issued_on_grid(store, city, issue_date, local_time.now())
    if issued is not None:
        return {
            **issued.model_dump(mode="json", include={"forecast_date", "served"}),
            "data_version": issued.version,
            "note": f"Left as issued at {issued.issued_at}, because {issued.forecast_date} has begun.",
            "versions": _versions(issued),
        }
    record = ServingRecord.find(store, city.name, issue_date)
    # The history that the models were fitted on, as in the test of a fold.
    history = CityHistory.load(store, city, issue_date, None if record is None else max(record.train[0], city.start))
    if record is not None and record.last_known < history.last_known:
        history = history.until(record.last_known)
    if history.is_too_late or record is None:
        waiting = WaitingModels.find(store, city.name, issue_date)
        no_models = f"{issue_date} has no live models of {city.target}; materialize them, or see their note."
        why = (history.nothing_counted or no_models) if waiting is None else waiting.reason
        nothing = withheld(store, history, "" if history.is_too_late else why)
        log.warning(f"{city.name} {issue_date}: {nothing.no_forecast}")
        return {
            **nothing.model_dump(mode="json", include={"forecast_date", "lead", "last_known", "no_forecast"}),
            "data_version": f"no forecast {sha256(nothing.no_forecast)[:16]}",
            "path": dg.MetadataValue.path(write_sealed(store, city, nothing, local_time.now())),
        }
    window = ForecastWindow.of(record, record.loaded(store), history)
    forecast = forecast_shadow(store, forecast_day(window), window)
    path = write_sealed(store, city, forecast, local_time.now())
    if forecast.record.shadow:
        log.info(f"{city.name} {issue_date}: {forecast.record.shadow}")
    return {
        **_forecast_shown(store, city, issue_date, forecast),
        "geojson": dg.MetadataValue.path(store.uri(RISK_MAP, city.name, issue_date)),
        "path": dg.MetadataValue.path(path),
    }


def _forecast_shown(store: Store, city: City, issue_date: date, forecast: "Forecast") -> panel.Metadata:
    """Return the panel entries of a forecast that has been written, with its map and its likeliest cells."""
    from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, next_day_rows
    from shotspotter_assets.forecasts.pictures import risk_map
    from shotspotter_assets.grid.cells import cell_name

    facts = ForecastRecord.load(store, city.name, issue_date)  # with the versions that were issued before
    title = (
        f"Risk of {facts.forecast_date} ({facts.served}): {facts.expected_alerts:.1f} {city.event}s expected "
        f"({facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f})"
    )
    title += f"\nFrom {facts.data}" if facts.lead > 1 else ""
    title += "\nReplayed after its day" if facts.replayed else ""
    top_locations = [
        {
            "rank": row["rank"],
            "cell": cell_name(row["row"], row["column"]),
            "chance": f"{row['probability']:.0%} ({row['low']:.0%} to {row['high']:.0%})",
            "why": row["why"],
        }
        for row in forecast.top.to_pylist()
    ]
    return {
        **panel.rounded(facts.model_dump(mode="json", include=FORECAST_FACTS)),
        "from": facts.data,
        "data_version": facts.version,
        "map": panel.picture("map", risk_map(next_day_rows(forecast.table), city, title)),
        "top_locations": panel.table(top_locations),
        "versions": _versions(facts),
        **({"shadow": facts.shadow} if facts.shadow else {}),
    }


def _versions(record: "ForecastRecord") -> dg.MetadataValue[Any]:
    """Return the table of a forecast's issued versions."""
    return panel.table(version.model_dump(mode="json") for version in record.versions)
