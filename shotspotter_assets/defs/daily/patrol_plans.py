"""Patrol plans of a city by issue date, for the day after it."""

from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import corrected_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import asset_key, day_partitions, run_day
from shotspotter_assets.patrol.columns import DISPATCH_COLUMNS
from shotspotter_assets.storage.file_names import DISPATCH_CSV_FILE, DISPATCH_GEOJSON_FILE, HOURLY_FILE, PLAN_FILE

PLACEMENT: Final = ["shift", "rank", "cell", "units", "covered_alerts"]
"""Columns in the panel, which is narrow."""


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "patrol_plans"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        group_name=city.name,
        kinds={"csv", "parquet"},
        code_version="1",
        deps=[
            asset_key(city, "risk_forecasts"),
            asset_key(city, "street_risk"),
        ],
        automation_condition=corrected_days(city),
        metadata=panel.column_schema(DISPATCH_COLUMNS),
    )
    def patrol_plans(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Units by cell and shift for the day after the issue date, by the city's patrol rules.

        Stored as a table, and as CSV and GeoJSON for dispatch systems, with the streets of each cell and audit numbers. A
        city without rules, or a day without a forecast, has an empty plan.
        """
        from shotspotter_assets.evaluation.areas import cell_areas
        from shotspotter_assets.patrol.dispatch import DISPATCH_SCHEMA, dispatch_csv, dispatch_table
        from shotspotter_assets.patrol.plan import plan_day
        from shotspotter_assets.patrol.shifts import shift_forecasts
        from shotspotter_assets.patrol.stored_plans import NoPlan, patrols_before, plan_partition, write_plan
        from shotspotter_assets.serving.issued_forecasts import NoForecast, forecast_partition, load_record
        from shotspotter_assets.serving.pictures import patrol_map
        from shotspotter_assets.serving.stored_streets import read_streets
        from shotspotter_assets.storage.fingerprints import sha256

        issue_date = run_day(context)
        opened, partition = store.open(), plan_partition(city.name, issue_date)
        path = opened.uri(partition, PLAN_FILE)
        rules = city.patrol
        forecast = None if rules is None else load_record(opened, city.name, issue_date)
        if rules is None or forecast is None or isinstance(forecast, NoForecast):
            version, note = (
                "no rules",
                f"City {city.name} has no patrol rules; give its file a section patrol to have plans.",
            )
            if isinstance(forecast, NoForecast):
                version, note = "no forecast", f"No plan, as there is no forecast. {forecast.no_forecast}"
            write_plan(opened, partition, DISPATCH_SCHEMA.empty_table(), NoPlan(note))
            return dg.MaterializeResult(
                data_version=dg.DataVersion(version), metadata={"note": note, "units": 0, "path": panel.stored(path)}
            )
        hourly = opened.read_table(forecast_partition(city.name, issue_date), HOURLY_FILE)
        shifts = shift_forecasts(hourly, city, rules.shifts, forecast.day)
        areas, history = cell_areas(city), patrols_before(opened, city, issue_date)
        plan = plan_day(city, forecast.day, shifts.expected, shifts.in_coverage, areas=areas, history=history)
        table = dispatch_table(
            plan,
            city,
            shifts,
            areas=areas,
            reasons=forecast.cell_drivers(),
            streets=read_streets(opened, city.name, issue_date),
        )
        write_plan(opened, partition, table, plan.audit)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(sha256(dispatch_csv(table))[:16]),
            metadata={
                "day": str(plan.day),
                **panel.rounded(plan.audit.totals()),
                "map": panel.picture("map", patrol_map(plan, shifts, city)),
                "placements": panel.table(table.select(PLACEMENT).to_pylist()),
                "csv": panel.stored(opened.uri(partition, DISPATCH_CSV_FILE)),
                "geojson": panel.stored(opened.uri(partition, DISPATCH_GEOJSON_FILE)),
                "path": panel.stored(path),
            },
        )

    return dg.Definitions(assets=[patrol_plans])
