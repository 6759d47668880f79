"""Patrol plans of a city by issue date, for the day after it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.patrol_rules import PatrolRules
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Product
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.storage.catalogue import (
    DISPATCH_CSV,
    DISPATCH_MAP,
    HOURLY,
    PLAN,
    STREETS,
    Asset,
)

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord

PLACEMENT: Final = ["shift", "rank", "cell", "units", "probability_within_reach"]  # the panel is narrow


class _Issued(NamedTuple):
    """The forecast of a target, and the store with its files."""

    store: Store
    target: str
    record: "ForecastRecord"


@Product(Asset.PATROL_PLANS, kinds={"csv", "parquet"}, code_version="3", table=PLAN)
def patrol_plans(_: Log, store: Store, city: City, issue_date: date) -> panel.Metadata:
    """Units by cell and shift for the day after the issue date, by the city's patrol rules.

    Stored as a table, and as CSV and GeoJSON for dispatch systems, with audit numbers and the streets of each cell by the
    first target. A city without rules, or a day without a forecast, has an empty plan. Targets count by their weights.
    """
    from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, NoForecast, load_record

    rules = city.patrol
    if rules is None:
        note = f"City {city.name} has no patrol rules; give its file a section patrol to have plans."
        return _without_plan(store, city, issue_date, "no rules", note)
    # Targets that weigh nothing are not planned for.
    targets = [(of_target, view) for of_target, view in city.by_target(store) if rules.weights.get(view.target, 1.0)]
    records = [(of_target, view, load_record(of_target, city.name, issue_date)) for of_target, view in targets]
    issued = [
        _Issued(of_target, view.target, record)
        for of_target, view, record in records
        if isinstance(record, ForecastRecord)
    ]
    if not issued:
        reasons = dict.fromkeys(record.no_forecast for *_, record in records if isinstance(record, NoForecast))
        note = f"No plan, because there is no forecast. {' '.join(reasons)}"
        return _without_plan(store, city, issue_date, "no forecast", note)
    return _with_plan(store, city, rules, issue_date, issued)


def _with_plan(
    store: Store, city: City, rules: PatrolRules, issue_date: date, issued: Sequence[_Issued]
) -> panel.Metadata:
    """Plan the day after the issue date by the forecasts of one or more targets; write the plan and return its panel."""
    from shotspotter_assets.forecasts.patrol.dispatch import (
        PlanRecord,
        dispatch_csv,
        dispatch_table,
        lots_table,
        patrols_before,
        write_plan,
    )
    from shotspotter_assets.forecasts.patrol.plan import plan_day
    from shotspotter_assets.forecasts.patrol.shifts import joined, shift_forecasts
    from shotspotter_assets.forecasts.pictures import patrol_map
    from shotspotter_assets.grid.coverage import OUTSIDE, cell_districts, district_areas
    from shotspotter_assets.storage.fingerprints import sha256

    day = issue_date + ONE_DAY
    by_target = {
        forecast.target: shift_forecasts(
            forecast.store.read_table(HOURLY, city.name, issue_date), city, rules.shifts, day
        )
        for forecast in issued
    }
    shifts, weighted = joined(by_target, rules.weights)
    areas = cell_districts(city, district_areas(city), OUTSIDE)
    plan = plan_day(
        city, day, weighted, shifts.in_coverage, areas=areas, history=patrols_before(store, city, issue_date)
    )
    streets = issued[0].store.find_table(STREETS, city.name, issue_date)
    table = dispatch_table(plan, city, shifts, areas=areas, reasons=_reasons(city, issued), streets=streets)
    record = PlanRecord(
        city=city.name,
        issue_date=issue_date,
        forecast_date=day,
        forecast_versions={forecast.target: forecast.record.version for forecast in issued},
        radius_m=rules.radius_m,
        shifts=tuple(shift.totals for shift in plan.shifts),
        lottery=rules.lottery,
        covered_without_lottery=plan.covered_without_lottery,
    )
    path = write_plan(store, record, table, lots_table(plan, city, shifts, areas))
    return {
        "data_version": sha256(dispatch_csv(table))[:16],
        "forecast_date": str(day),
        **panel.rounded(record.totals()),
        **({} if rules.lottery is None else panel.rounded({"covered_without_lottery": record.covered_without_lottery})),
        "map": panel.picture("map", patrol_map(plan, shifts, city)),
        "placements": panel.table(table.select(PLACEMENT).to_pylist()),
        "csv": dg.MetadataValue.path(store.uri(DISPATCH_CSV, city.name, issue_date)),
        "geojson": dg.MetadataValue.path(store.uri(DISPATCH_MAP, city.name, issue_date)),
        "path": dg.MetadataValue.path(path),
    }


def _without_plan(store: Store, city: City, issue_date: date, version: str, note: str) -> panel.Metadata:
    """Write an empty plan with the reason for it, and return its panel."""
    from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, write_plan

    record = PlanRecord(city=city.name, issue_date=issue_date, forecast_date=issue_date + ONE_DAY, note=note)
    path = dg.MetadataValue.path(write_plan(store, record))
    return {"data_version": version, "note": note, "units": 0, "path": path}


def _reasons(city: City, issued: Sequence[_Issued]) -> dict[tuple[int, int], list[str]]:
    """Return the main reasons of the forecasts by (row, column); they name their target if the city has several."""
    reasons = defaultdict[tuple[int, int], list[str]](list)
    for forecast in issued:
        before = f"{forecast.target}: " if len(city.targets) > 1 else ""
        for cell, drivers in forecast.record.cell_drivers().items():
            reasons[cell] += [f"{before}{driver}" for driver in drivers]
    return reasons
