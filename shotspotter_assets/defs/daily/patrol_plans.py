"""Patrol plans of a city by issue date, for the day after it."""

from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import SINGLE_RUN, asset_key, day_partitions, run_days
from shotspotter_assets.patrol.columns import DISPATCH_COLUMNS
from shotspotter_assets.storage.file_names import DISPATCH_CSV_FILE, DISPATCH_GEOJSON_FILE, HOURLY_FILE, PLAN_FILE

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

PLACEMENT: Final = ["shift", "rank", "cell", "units", "covered_alerts"]
"""Columns in the panel, which is narrow."""


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, days = asset_key(city, "patrol_plans"), day_partitions(city)

    @dg.asset(
        key=key,
        partitions_def=days,
        backfill_policy=SINGLE_RUN,
        group_name=city.name,
        kinds={"csv", "parquet"},
        code_version="1",
        deps=[
            asset_key(city, "risk_forecasts"),
            asset_key(city, "street_risk"),
        ],
        metadata=panel.column_schema(DISPATCH_COLUMNS),
    )
    def patrol_plans(context: dg.AssetExecutionContext, store: StoreResource) -> None:
        """Units by cell and shift for the day after the issue date, by the city's patrol rules.

        Stored as a table, and as CSV and GeoJSON for dispatch systems, with the streets of each cell and audit numbers. A
        city without rules, or a day without a forecast, has an empty plan.
        """
        for day in run_days(context, city):
            context.add_asset_metadata(_plan_of(store.open(), city, day), partition_key=str(day))

    return dg.Definitions(assets=[patrol_plans])


def _plan_of(opened: "Store", city: City, issue_date: date) -> panel.Metadata:
    """Plan the units of a day, or store why there is no plan, and return the panel."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.patrol.dispatch import DISPATCH_SCHEMA, dispatch_csv, dispatch_table
    from shotspotter_assets.patrol.plan import cell_areas, plan_day
    from shotspotter_assets.patrol.shifts import shift_forecasts
    from shotspotter_assets.patrol.stored_plans import NoPlan, patrols_before, plan_partition, write_plan
    from shotspotter_assets.serving.issued_forecasts import NoForecast, forecast_partition, load_record
    from shotspotter_assets.serving.pictures import patrol_map
    from shotspotter_assets.serving.stored_streets import read_streets
    from shotspotter_assets.storage.fingerprints import sha256

    stored, partition = Stored.read(opened, city), plan_partition(city.name, issue_date)
    made_from = stored.begin("patrol_plans", issue_date)
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
        stored.record("patrol_plans", issue_date, made_from, version)
        return {"data_version": version, "note": note, "units": 0, "path": panel.stored(path)}
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
    version = sha256(dispatch_csv(table))[:16]
    stored.record("patrol_plans", issue_date, made_from, version)
    return {
        "data_version": version,
        "day": str(plan.forecast_date),
        **panel.rounded(plan.audit.totals()),
        "map": panel.picture("map", patrol_map(plan, shifts, city)),
        "placements": panel.table(table.select(PLACEMENT).to_pylist()),
        "csv": panel.stored(opened.uri(partition, DISPATCH_CSV_FILE)),
        "geojson": panel.stored(opened.uri(partition, DISPATCH_GEOJSON_FILE)),
        "path": panel.stored(path),
    }
