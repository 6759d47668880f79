"""Feedback between plans and records: two years of weekly training, forecasts and plans on the simulated city.

    python -m benchmarks.feedback [--weeks 104] [--processes 2] [--seed 7] [--figure docs/pictures/feedback.svg]

Incidents are those of the shipped simulated city on a coarse grid. Each becomes a stored alert with the chance
1 - (1 - s)(1 - v): s is the sensors' chance in its cell, v that of the units which the week's plan has sent there. The
project's own functions clean, grid, train, judge, forecast and plan, without the network. Prints a table by scenario.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from benchmarks.benchmark_cities import print_head, print_row
from benchmarks.reports.feedback_figure import feedback_figure
from benchmarks.reports.feedback_measures import MEASURES, Run
from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.sources.simulated_background import Background
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, days_between, now
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.daily_forecast import forecast_day
from shotspotter_assets.forecasts.issued_forecasts import Forecast, next_day_rows, write_forecast
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import shift_forecasts
from shotspotter_assets.forecasts.retraining import choose_models, day_records, known_history
from shotspotter_assets.forecasts.serving_record import ForecastWindow
from shotspotter_assets.grid.cells import cell_edges, cells_at
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.storage.catalogue import CLEANED, TENSORS
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SEED: Final = 7  # seed and box of the shipped simulated city
BOX: Final = {"west": -77.06924, "south": 38.846096, "east": -76.93076, "north": 38.953904}
START: Final = date(2023, 1, 2)  # a Monday
WEEKS: Final = 104
WEEKS_BEFORE: Final = 26  # before the first plan, when all cells have sensors
ONE_WEEK: Final = timedelta(days=7)
CELLS: Final = 8  # rows, and columns, of the grid
AREA_CELLS: Final = 2  # rows, and columns, of an area
UNITS: Final = 10  # each in one cell for a week
SENSOR_CHANCE: Final = 0.8  # assumed chance that sensors record an incident
CONFIRMED_SHARE: Final = 0.1  # assumed share of alerts that officers confirm where no unit is near
PREVENTED_SHARE: Final = 0.5  # assumed share of the incidents within a unit's cover that it prevents


@dataclass(frozen=True)
class Scenario:
    """Recording and planning in one run."""

    title: str
    sensors: float  # share of the covered cells with sensors, those with the most recorded incidents first
    patrols_record: bool = True  # units record incidents by the shares of the patrol rules
    deters: bool = False  # units prevent incidents
    confirms: bool = False  # only what officers confirm is recorded, which depends on units nearby
    corrects: bool = False  # a discovery counts with a chance inverse to that of being discovered
    lottery: float | None = None  # power of the plan's lottery (`patrol.lottery`); None for the best places


SCENARIOS: Final = {
    "sensors": Scenario("sensors alone", 1.0, patrols_record=False),
    "both": Scenario("sensors and patrols", 1.0),
    "half": Scenario("sensors in half of the city, and patrols", 0.5),
    "deterrence": Scenario("sensors alone, patrols deter", 1.0, patrols_record=False, deters=True),
    "confirmed": Scenario("sensors alone, confirmed by officers", 1.0, patrols_record=False, confirms=True),
    "patrols": Scenario("patrols alone", 0.0),
    "corrected": Scenario("patrols alone, corrected", 0.0, corrects=True),
    "lottery": Scenario("patrols alone, lottery: 1", 0.0, lottery=1.0),
    "lottery_corrected": Scenario("patrols alone, lottery: 1, corrected", 0.0, corrects=True, lottery=1.0),
    "lottery_2": Scenario("patrols alone, lottery: 2", 0.0, lottery=2.0),
}
PANELS: Final = ("sensors", "patrols", "lottery", "lottery_corrected")  # scenarios whose areas the figure shows


class Incidents(NamedTuple):
    """True incidents in the order of time, and three random numbers of each, equal in all scenarios."""

    rows: pa.Table  # as raw alerts
    day: Integers  # from `START`
    cell: Integers  # index among the covered cells
    draws: Array  # shape (incidents, 3)


class Plan(NamedTuple):
    """Units of a day; arrays have shape (covered cells,)."""

    units: Integers
    expected_units: Array  # before the lots were drawn; equal to `units` without a lottery


class Town:
    """The simulated city of all scenarios.

    Its coverage is published: a cell without records stays a cell to forecast and to patrol.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lottery: float | None = None,
        cells: int = CELLS,
        units: int = UNITS,
        seed: int = SEED,
        **keys: Any,
    ) -> None:
        """Build the city; `folder` gets the file of its coverage, and `keys` are further keys of the city's file."""
        shift = {"name": "day", "start": 0, "end": 24, "units": units}
        described: dict[str, Any] = {
            "name": "feedback",
            "time_zone": "America/New_York",
            "start": START,
            "box": BOX,
            "grid": {"rows": cells, "columns": cells},
            "source": {"kind": "simulated", "seed": seed},
            "time_precision": "day",  # plans of whole days need no forecasts of hours
            "publication": {"days_late": 0},
            "network": False,
            "forecasters": {"stack": {"members": ["residual_boosting", "ew_kde"]}},
            "folds": {"train": "1y"},
            "patrol": {"shifts": [shift], "radius_m": 0, "lottery": lottery},
        }
        described |= keys
        self.seed = seed
        plain = CityFile.model_validate(described)
        self.in_coverage = Background(plain.site, seed).sensors
        covered = np.argwhere(self.in_coverage).tolist()
        names = [f"area {row // AREA_CELLS}-{column // AREA_CELLS}" for row, column in covered]
        features = [
            polygon_feature(cell_edges(plain, *cell), {"area": name}) for cell, name in zip(covered, names, strict=True)
        ]
        path = folder / "coverage.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        coverage = {"file": path, "name_property": "area", "areas": dict.fromkeys(names, START)}
        self.city: City = CityFile.model_validate(described | {"coverage": coverage})
        assert self.city.patrol is not None
        self.shares = self.city.patrol.shares
        _, self.area = np.unique(names, return_inverse=True)  # of each covered cell

    def incidents(self, weeks: int) -> Incidents:
        """Draw the incidents of the weeks before the first plan and of `weeks` after it."""
        city = self.city
        rows = city.source.open(city.site, None).read(START, START + (WEEKS_BEFORE + weeks) * ONE_WEEK - ONE_DAY)
        row, column = cells_at(city, rows["longitude"].to_numpy(), rows["latitude"].to_numpy())
        number = np.cumsum(self.in_coverage).reshape(city.shape) - 1
        day = (dates_of(rows) - np.datetime64(START)).astype(np.int64)
        draws = np.random.default_rng(self.seed).random((len(rows), 3))
        return Incidents(rows, day, number[row, column], draws)


def run(scenario: Scenario, weeks: int, **town: Any) -> Run:
    """Run one scenario; `town` are options of `Town`."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        city = Town(Path(folder), lottery=scenario.lottery, **town)
        return _run(scenario, city, Store(f"{folder}/store"), city.incidents(weeks), weeks)


def _run(scenario: Scenario, town: Town, store: Store, incidents: Incidents, weeks: int) -> Run:
    """Record, train, forecast and plan week by week."""
    cells = len(town.area)
    is_before = incidents.day < 7 * WEEKS_BEFORE
    record_days(store, town.city, incidents.rows, is_before & (incidents.draws[:, 0] < SENSOR_CHANCE), 0, WEEKS_BEFORE)
    recorded_before = np.bincount(incidents.cell[is_before], minlength=cells)
    with_sensors = np.argsort(-recorded_before, kind="stable")[: round(scenario.sensors * cells)]
    sensors = np.zeros(cells)
    sensors[with_sensors] = SENSOR_CHANCE
    plans: list[Plan] = []
    forecasts = []
    is_recorded = np.zeros(len(incidents.day), bool)
    for week in range(WEEKS_BEFORE, WEEKS_BEFORE + weeks):
        forecast = issue(store, town.city, START + week * ONE_WEEK - ONE_DAY)
        forecasts.append(next_day_rows(forecast.table))
        plans += [planned(town, forecast, START + week * ONE_WEEK + timedelta(days=day)) for day in range(7)]
        in_week = incidents.day // 7 == week
        is_recorded |= in_week & recorded(scenario, incidents, sensors, plans[-7:], town.shares)
        record_days(store, town.city, incidents.rows, is_recorded & in_week, week, 1)
    return Run(
        scenario.title,
        area=town.area,
        incidents=daily_counts(incidents, ~is_before, (weeks, 7, cells)),
        recorded=daily_counts(incidents, is_recorded, (weeks, 7, cells)),
        units=np.stack([plan.units for plan in plans]).reshape(weeks, 7, cells),
        expected=np.stack([rows["expected"].to_numpy() for rows in forecasts]),
        probability=np.stack([rows["probability"].to_numpy() for rows in forecasts]),
    )


def daily_counts(incidents: Incidents, chosen: npt.NDArray[np.bool_], shape: tuple[int, int, int]) -> Integers:
    """Count chosen incidents after the first plan by week, day and covered cell, the axes of `shape`."""
    counts = np.zeros((shape[0] * shape[1], shape[2]), np.int64)
    np.add.at(counts, (incidents.day[chosen] - 7 * WEEKS_BEFORE, incidents.cell[chosen]), 1)
    return counts.reshape(shape)


def record_days(
    store: Store, city: City, rows: pa.Table, is_recorded: npt.NDArray[np.bool_], week: int, weeks: int
) -> None:
    """Clean, grid and store the recorded incidents of some weeks."""
    days = days_between(START + week * ONE_WEEK, START + (week + weeks) * ONE_WEEK - ONE_DAY)
    cleaned = clean_alerts(rows.filter(pa.array(is_recorded)), days, city)
    alerts = {day: cleaned[day].alerts for day in days}
    store.write_tables(CLEANED, alerts, city.name)
    dated = [
        table.append_column("date", pa.repeat(pa.scalar(day, pa.date32()), len(table))) for day, table in alerts.items()
    ]
    store.write_tables(TENSORS, sparse_tensors(pa.concat_tables(dated), days, city), city.name)


def issue(store: Store, city: City, issue_date: date) -> Forecast:
    """Train on the stored days if it is due, pass the gate, and forecast the day after the issue date."""
    history = known_history(store, city, issue_date, now())
    live = choose_models(store, history, FitContext())
    live.write(store, city.name, issue_date, day_records(store, city.name, issue_date))
    assert live.record is not None, live.why_none
    forecast = forecast_day(ForecastWindow.of(live.record, live.record.loaded(store), history))
    write_forecast(store, forecast)
    return forecast


def planned(town: Town, forecast: Forecast, day: date) -> Plan:
    """Plan a day by the city's rules and the forecast of its week."""
    city = town.city
    assert city.patrol is not None
    shifts = shift_forecasts(forecast.hourly, city, city.patrol.shifts, forecast.record.forecast_date)
    [plan] = plan_day(city, day, shifts.expected, shifts.in_coverage).shifts
    units = plan.units[town.in_coverage]
    if plan.lots is None:
        return Plan(units, units.astype(np.float64))
    return Plan(units, plan.lots.expected_units.reshape(city.shape)[town.in_coverage])


def recorded(
    scenario: Scenario, incidents: Incidents, sensors: Array, plans: Sequence[Plan], shares: Sequence[float]
) -> npt.NDArray[np.bool_]:
    """Flag the incidents that occur and are recorded under the plans of a week from Monday.

    With `corrects`, a discovery counts with the smallest chance of a discovery in any cell over that in its own cell. Ensign
    and others 2018 accept it with a probability inverse to the patrols there, so that records grow as incidents do.

    Args:
        sensors: Chance of a record by sensors, shape (covered cells,).
        shares: Share of a cell's incidents that its first unit covers, the second adds, and so on.
    """
    covered = partial(np.interp, xp=np.arange(len(shares) + 1), fp=np.cumsum([0.0, *shares]))
    cover = covered(np.stack([plan.units for plan in plans]))
    # Lots round expected units down or up, so that the interpolated cover is the expected one.
    discovery = covered(np.stack([plan.expected_units for plan in plans]))
    smallest = discovery[discovery > 0].min()
    counts = smallest / np.maximum(discovery, smallest) if scenario.corrects else np.ones_like(cover)
    chance = 1 - (1 - sensors) * (1 - cover * scenario.patrols_record)
    if scenario.confirms:
        chance *= CONFIRMED_SHARE + (1 - CONFIRMED_SHARE) * cover
    occurs = 1 - PREVENTED_SHARE * cover * scenario.deters
    limits = np.stack([chance, counts, occurs], axis=-1)
    return (incidents.draws < limits[incidents.day % 7, incidents.cell]).all(axis=1)


def main() -> None:
    """Run the scenarios, print the measures of their first and last quarter, and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=WEEKS, help="weeks with plans")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the city and of the records")
    parser.add_argument("--figure", type=Path, help="SVG to write")
    asked = parser.parse_args()
    started = time.perf_counter()
    print_head("first quarter to last", *MEASURES)
    runs = []
    with ProcessPoolExecutor(asked.processes) as pool:
        for done in pool.map(
            partial(run, weeks=asked.weeks, seed=asked.seed), [SCENARIOS[name] for name in asked.scenarios]
        ):
            first, *_, last = [*done.quarters()[:1], *done.quarters()]
            print_row(done.title, *(f"{measure(first):.2f} to {measure(last):.2f}" for measure in MEASURES.values()))
            runs.append(done)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"\n{time.perf_counter() - started:.0f} s, {cpu.ru_utime + cpu.ru_stime:.0f} CPU s, {asked.processes} processes"
    )
    if asked.figure:
        asked.figure.write_bytes(feedback_figure(runs, [SCENARIOS[name].title for name in PANELS]))


if __name__ == "__main__":
    main()
