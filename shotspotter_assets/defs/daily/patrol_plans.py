"""Patrol plans of a city by issue date, for the day after it."""

from collections import defaultdict
from datetime import date
from typing import Final

import dagster as dg

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import daily_asset
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, DISPATCH_MAP, HOURLY, PLAN, STREETS
from shotspotter_assets.storage.stored_file import Asset

PLACEMENT: Final = ["shift", "rank", "cell", "units", "probability_within_reach"]  # the panel is narrow


def definitions(city: City) -> dg.Definitions:
    """Build the asset."""
    shown = {"kinds": {"csv", "parquet"}, "code_version": "2", "table": PLAN}
    upstream = {Asset.RISK_FORECASTS: None, Asset.STREET_RISK: None}
    return dg.Definitions(assets=[daily_asset(city, Asset.PATROL_PLANS, _plan_of, upstream, **shown)])


def _plan_of(_: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    """Units by cell and shift for the day after the issue date, by the city's patrol rules.

    Stored as a table, and as CSV and GeoJSON for dispatch systems, with audit numbers and the streets of each cell by the
    first target. A city without rules, or a day without a forecast, has an empty plan. Targets count by their weights.
    """
    from shotspotter_assets.patrol.dispatch import PlanRecord, dispatch_csv, dispatch_table, patrols_before, write_plan
    from shotspotter_assets.patrol.plan import cell_areas, plan_day
    from shotspotter_assets.patrol.shifts import joined, shift_forecasts
    from shotspotter_assets.serving.issued_forecasts import ForecastRecord, NoForecast, load_record
    from shotspotter_assets.serving.pictures import patrol_map
    from shotspotter_assets.storage.fingerprints import sha256

    rules, key, forecast_date = city.patrol, (city.name, issue_date), issue_date + ONE_DAY
    days = {"city": city.name, "issue_date": issue_date, "forecast_date": forecast_date}
    # Targets that weigh nothing are not planned for.
    stores = {view.target: one for one, view in city.by_target(store) if rules and rules.weights.get(view.target, 1.0)}
    records = {name: load_record(one, *key) for name, one in stores.items()}
    issued = {name: one for name, one in records.items() if isinstance(one, ForecastRecord)}
    if rules is None or not issued:
        why = dict.fromkeys(one.no_forecast for one in records.values() if isinstance(one, NoForecast))
        version, note = "no forecast", f"No plan, as there is no forecast. {' '.join(why)}"
        if rules is None:
            version = "no rules"
            note = f"City {city.name} has no patrol rules; give its file a section patrol to have plans."
        path = write_plan(store, PlanRecord(**days, note=note))
        return {"data_version": version, "note": note, "units": 0, "path": dg.MetadataValue.path(path)}
    of_targets, reasons = {}, defaultdict[tuple[int, int], list[str]](list)
    for name, forecast in issued.items():
        hourly = stores[name].read_table(HOURLY, *key)
        of_targets[name] = shift_forecasts(hourly, city, rules.shifts, forecast_date)
        for cell, drivers in forecast.cell_drivers().items():
            reasons[cell] += [f"{name}: {driver}" if len(city.targets) > 1 else driver for driver in drivers]
    shifts, weighted = joined(of_targets, rules.weights)
    areas, history = cell_areas(city), patrols_before(store, city, issue_date)
    plan = plan_day(city, forecast_date, weighted, shifts.in_coverage, areas=areas, history=history)
    streets = stores[next(iter(issued))].find_table(STREETS, *key)
    table = dispatch_table(plan, city, shifts, areas=areas, reasons=reasons, streets=streets)
    versions = {name: forecast.version for name, forecast in issued.items()}
    made_from = {"forecast_versions": versions, "radius_m": rules.radius_m}
    record = PlanRecord(**days, **made_from, shifts=tuple(shift.totals for shift in plan.shifts))
    path = write_plan(store, record, table)
    return {
        "data_version": sha256(dispatch_csv(table))[:16],
        "forecast_date": str(plan.forecast_date),
        **panel.rounded(record.totals()),
        "map": panel.picture("map", patrol_map(plan, shifts, city)),
        "placements": panel.table(table.select(PLACEMENT).to_pylist()),
        "csv": dg.MetadataValue.path(store.uri(DISPATCH_CSV, *key)),
        "geojson": dg.MetadataValue.path(store.uri(DISPATCH_MAP, *key)),
        "path": dg.MetadataValue.path(path),
    }
