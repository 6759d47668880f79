"""CPU time of a burden audit: `python benchmarks/burden_audit.py [--years 5] [--alerts 60000]`.

A made-up city of 900 covered cells with forecasts, a plan for each day, ten areas, and an audit layer of 400 tracts with
four groups, income and margins of error. Prints the CPU seconds of the audit, and those of reading as many days of forecasts (by
quarter) and plans from a store.
"""

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from shotspotter_assets.accountability.burden_report import burden_files
from shotspotter_assets.accountability.policies import CELL_MEAN, LAST_YEAR, AuditedDays
from shotspotter_assets.accountability.residents import Residents
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.evaluation.forecasts_table import SERVED, forecasts_table
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS, PLAN
from shotspotter_assets.storage.store import Store

SIDE = 30  # rows, and columns
TRACTS = 20  # rows, and columns, of tracts
FIRST = date(2019, 1, 1)


def write_layer(folder: Path, random: np.random.Generator) -> dict[str, object]:
    """Write the tracts as GeoJSON, and return the section `audit`."""
    import json

    features = []
    for row in range(TRACTS):
        for column in range(TRACTS):
            shares = random.dirichlet([3 + row / 4, 2, 1, 1])
            people = float(random.integers(1_000, 5_000))
            figures = {f"group_{number}": float(round(people * share)) for number, share in enumerate(shares)}
            edges = (column / TRACTS, row / TRACTS, (column + 1) / TRACTS, (row + 1) / TRACTS)
            figures |= {"people": people, "margin": 200.0, "income": float(random.normal(60_000, 15_000))}
            features.append(polygon_feature(edges, {"name": f"{row}-{column}", **figures}))
    file = folder / "tracts.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    groups = {f"group {number}": {"column": f"group_{number}", "margin": "margin"} for number in range(4)}
    people = {"column": "people", "margin": "margin"}
    income = {"column": "income", "margin": "margin"}
    return {"path": file, "name": "name", "year": 2018, "residents": people, "groups": groups, "income": income}


def audited_days(days: int, alerts: int, random: np.random.Generator) -> AuditedDays:
    """Forecasts, alerts and plans of some days."""
    heat = random.gamma(0.4, 1.0, SIDE * SIDE)
    rate = heat / heat.sum() * alerts / days * random.gamma(20, 1 / 20, (days, 1)) * np.ones((days, SIDE * SIDE))
    counts = random.poisson(rate)
    forecasts = {
        name: -np.expm1(-rate * random.gamma(30, 1 / 30, rate.shape)) for name in (SERVED, CELL_MEAN, LAST_YEAR)
    }
    axis = np.datetime64(FIRST) + np.arange(days)
    hours = 8.0 * random.poisson(30 * heat / heat.sum(), rate.shape)
    return AuditedDays(axis, np.arange(SIDE * SIDE), forecasts, counts, hours)


def seconds_of_reading(store: Store, audited: AuditedDays) -> float:
    """Write the forecasts by quarter, and a plan of 34 cells for each day; return the CPU seconds of reading all."""
    cells = np.unravel_index(audited.cells, (SIDE, SIDE))
    quarters = np.array_split(np.arange(len(audited.days)), max(len(audited.days) // 91, 1))
    values = {"string": "", "list<string>": [], "double": 0.0, "int16": 0, "int32": 1}
    row = {name: values.get(column.kind) for name, column in PLAN.own_columns.items()}
    row |= {"forecast_date": FIRST, "starts_at": "2019-01-01T06:00:00+00:00", "ends_at": "2019-01-01T14:00:00+00:00"}
    plan = pa.Table.from_pylist([row] * 34, pa.schema([PLAN.schema.field(name) for name in row]))
    dates = [FIRST + timedelta(days=number) for number in range(len(audited.days))]
    for chosen in quarters:
        forecasts = {name: values[chosen] for name, values in audited.probability.items()}
        table = forecasts_table(audited.days[chosen], cells, audited.alerts[chosen] > 0, forecasts)
        store.write_table(FOLD_FORECASTS, table, "made_up", dates[chosen[0]])
    for day in dates:
        store.write_table(PLAN, plan, "made_up", day)
    started = time.process_time()
    for chosen in quarters:
        store.read_table(FOLD_FORECASTS, "made_up", dates[chosen[0]], ["date", "row", "column", SERVED, CELL_MEAN])
    store.read_present(
        PLAN, "made_up", dates[0], dates[-1], ["forecast_date", "starts_at", "ends_at", "units", "row", "column"]
    )
    return time.process_time() - started


def main() -> None:
    """Make the city, audit it, and print the CPU seconds."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--years", type=int, default=5)
    arguments.add_argument("--alerts", type=int, default=60_000)
    chosen = arguments.parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        city = CityFile.model_validate(
            {
                "name": "made_up",
                "time_zone": "UTC",
                "start": FIRST,
                "box": {"west": 0.0, "south": 0.0, "east": 1.0, "north": 1.0},
                "grid": {"rows": SIDE, "columns": SIDE},
                "source": {"kind": "simulated"},
                "audit": write_layer(folder, random),
            }
        )
        audited = audited_days(round(365.25 * chosen.years), chosen.alerts, random)
        started = time.process_time()
        assert city.audit is not None
        residents = Residents.read(city, city.audit)
        areas = np.array([[f"area {row // 6}{column // 15}" for column in range(SIDE)] for row in range(SIDE)])
        files = burden_files(city, audited, areas, residents)
        seconds = time.process_time() - started
        reading = seconds_of_reading(Store(f"{name}/store"), audited)
    size = f"{len(audited.days):,} days, {audited.alerts.sum():,} alerts, {len(audited.cells):,} cells"
    print(f"{size}: {seconds:.1f} s of CPU for {files.burden.num_rows:,} measures")
    print(f"{reading:.1f} s of CPU to read the forecasts and plans")


if __name__ == "__main__":
    main()
