"""Risk forecasts of a city by issue date, for the day after it."""

from datetime import UTC, datetime

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import newest_day
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import LAST_FORTNIGHT, asset_key, day_partitions, run_day
from shotspotter_assets.serving.columns import RISK_COLUMNS
from shotspotter_assets.storage.file_names import MAP_FILE


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "risk_forecasts"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        group_name=city.name,
        kinds={"parquet"},
        code_version="2",
        deps=[
            asset_key(city, "live_models"),
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=LAST_FORTNIGHT),
        ],
        automation_condition=newest_day(city),
        metadata=panel.column_schema(RISK_COLUMNS),
    )
    def risk_forecasts(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Risk by cell on the next local day and in the hours from its midnight, from the days known at the issue date.

        Beside it the expected alerts by hour, the 20 places with the highest risk and the reasons, and the map as GeoJSON.
        A forecast that was issued before its day ended stays as it was. Where the source publishes late, the forecast has a
        lead of more than a day, and no hours and types. Beyond the city's longest lead nothing is issued.
        """
        from shotspotter_assets.gridding.cells import cell_name
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

        issue_date = run_day(context)
        opened = store.open()
        if (issued := issued_already(opened, city, issue_date, datetime.now(UTC))) is not None:
            note = f"Left as issued at {issued.issued_at}, as {issued.day} is over."
            return dg.MaterializeResult(
                data_version=dg.DataVersion(issued.version),
                metadata={"note": note, "day": str(issued.day), "served": issued.served},
            )
        record = ServingRecord.find(opened, city.name, issue_date)
        history = CityHistory.load(opened, city, issue_date)
        if record is not None and record.last_known < history.last_known:
            history = history.until(record.last_known)
        if history.is_too_late or record is None:
            why = f"{context.partition_key} has no live models; materialize them, or see why."
            nothing = withheld(opened, history, "" if history.is_too_late else why)
            context.log.warning(f"{city.name} {context.partition_key}: {nothing.no_forecast}")
            path = write_forecast(opened, nothing)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(f"no forecast {nothing.last_known}"),
                metadata={
                    "no_forecast": nothing.no_forecast,
                    "day": str(nothing.day),
                    "lead": nothing.lead,
                    "last_known": str(nothing.last_known),
                    "path": panel.stored(path),
                },
            )
        forecast = serve(record, record.loaded(opened), history)
        path = write_forecast(opened, forecast)
        facts = forecast.record
        low, high = facts.expected_alerts_low, facts.expected_alerts_high
        title = (
            f"Risk of {facts.day} ({facts.served}): {facts.expected_alerts:.1f} alerts expected ({low:.0f} to {high:.0f})"
            + (f"\nLead of {facts.lead} days: known to {facts.last_known}" if facts.lead > 1 else "")
            + ("\nMade after its day" if facts.replayed else "")
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(facts.version),
            metadata={
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
            },
        )

    return dg.Definitions(assets=[risk_forecasts])
