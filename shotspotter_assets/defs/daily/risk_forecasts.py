"""Risk forecasts of a city by issue date, for the day after it."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.calendar import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import LAST_FORTNIGHT, SINGLE_RUN, asset_key, day_partitions, run_days
from shotspotter_assets.serving.columns import RISK_COLUMNS
from shotspotter_assets.storage.file_names import MAP_FILE

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "risk_forecasts"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        backfill_policy=SINGLE_RUN,
        group_name=city.name,
        kinds={"parquet"},
        code_version="2",
        deps=[
            asset_key(city, "live_models"),
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=LAST_FORTNIGHT),
        ],
        metadata=panel.column_schema(RISK_COLUMNS),
    )
    def risk_forecasts(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Risk by cell on the next local day and in the hours from its midnight, from the days known at the issue date.

        Beside it the expected alerts by hour, the 20 places with the highest risk and the reasons, and the map as GeoJSON.
        A forecast that was issued before its day ended stays as it was. Where the source publishes late, the forecast has a
        lead of more than a day, and no hours and types. Beyond the city's longest lead nothing is issued.
        """
        for day in run_days(context, city):
            context.add_asset_metadata(_forecast_of(context, store.open(), city, day), partition_key=str(day))

    return dg.Definitions(assets=[risk_forecasts])


def _forecast_of(context: dg.AssetExecutionContext, opened: "Store", city: City, issue_date: date) -> panel.Metadata:
    """Issue the forecast of a day, or store why there is none, and return the panel."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.geometry.cells import cell_name
    from shotspotter_assets.models.city_history import CityHistory
    from shotspotter_assets.serving.issued_forecasts import (
        forecast_partition,
        issued_already,
        withheld,
        write_forecast,
    )
    from shotspotter_assets.serving.pictures import risk_map
    from shotspotter_assets.serving.record import ServingRecord
    from shotspotter_assets.serving.risk_forecasts import serve
    from shotspotter_assets.serving.risk_tables import next_day_rows

    stored = Stored.read(opened, city)
    made_from = stored.begin("risk_forecasts", issue_date)
    if (issued := issued_already(opened, city, issue_date, local_time.now())) is not None:
        stored.record("risk_forecasts", issue_date, made_from, issued.version)
        note = f"Left as issued at {issued.issued_at}, as {issued.day} is over."
        return {"data_version": issued.version, "note": note, "day": str(issued.day), "served": issued.served}
    record = ServingRecord.find(opened, city.name, issue_date)
    history = CityHistory.load(opened, city, issue_date)
    if record is not None and record.last_known < history.last_known:
        history = history.until(record.last_known)
    if history.is_too_late or record is None:
        why = f"{issue_date} has no live models; materialize them, or see why."
        nothing = withheld(opened, history, "" if history.is_too_late else why)
        context.log.warning(f"{city.name} {issue_date}: {nothing.no_forecast}")
        path = write_forecast(opened, nothing)
        version = f"no forecast {nothing.last_known}"
        stored.record("risk_forecasts", issue_date, made_from, version)
        return {
            "data_version": version,
            "no_forecast": nothing.no_forecast,
            "day": str(nothing.day),
            "lead": nothing.lead,
            "last_known": str(nothing.last_known),
            "path": panel.stored(path),
        }
    forecast = serve(record, record.loaded(opened), history)
    path = write_forecast(opened, forecast)
    facts = forecast.record
    low, high = facts.expected_alerts_low, facts.expected_alerts_high
    title = (
        f"Risk of {facts.day} ({facts.served}): {facts.expected_alerts:.1f} alerts expected ({low:.0f} to {high:.0f})"
        + (f"\nLead of {facts.lead} days: known to {facts.last_known}" if facts.lead > 1 else "")
        + ("\nMade after its day" if facts.replayed else "")
    )
    stored.record("risk_forecasts", issue_date, made_from, facts.version)
    return {
        "data_version": facts.version,
        "day": str(facts.day),
        "lead": facts.lead,
        "last_known": str(facts.last_known),
        "served": facts.served,
        "expected_alerts_low": low,
        "expected_alerts_high": high,
        **panel.rounded({"expected_alerts": facts.expected_alerts}),
        "map": panel.picture("map", risk_map(next_day_rows(forecast.table), city, title)),
        "top_locations": panel.table(
            {
                "rank": row["rank"],
                "cell": cell_name(row["row"], row["column"]),
                "chance": f"{row['probability']:.0%} ({row['low']:.0%} to {row['high']:.0%})",
                "why": row["why"],
            }
            for row in forecast.top.to_pylist()
        ),
        "issued_at": facts.issued_at,
        "replayed": facts.replayed,
        "geojson": panel.stored(opened.uri(forecast_partition(city.name, issue_date), MAP_FILE)),
        "path": panel.stored(path),
    }
