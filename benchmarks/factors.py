"""Gain of contributing factors for the next day: `python benchmarks/factors.py --data FOLDER --cache FOLDER`.

Days before the first test days alone: Washington DC in the first half of 2017, Oakland 2010, Cincinnati 2021, by quarters. The
regression is fitted without factors, with each by itself and with all of them, on all of the city's past and on its last
twelve months, with the same covered cells, as if they were published; it starts at the other two cities, as they were before
their own first test days. `--data` is a folder of alerts with `layers/` in it. Gains over the regression without factors on
ordinary days, in nats per positive with 90% intervals of a weekly block bootstrap. Prints Markdown.

`--one-city` compares all factors of places with none in Washington DC alone: the last quarter of 2018, on two years before it
and on one, with a regression that starts at zero. It takes minutes.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from functools import cache as once
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
from benchmark_cities import BENCHMARKS, Fold, folds, parser, print_head, print_row, quarters
from shared_model import between, rows_of

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.next_day.daily_inputs import Inputs, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import FitData, fit_regressions
from shotspotter_assets.models.next_day.shared_regression import FACTORS, SharedRows, fit_shared
from shotspotter_assets.storage.stored_file import ALL_CITIES

WITHOUT = "without"
THIN_DAYS = 365
QUIET_DAYS = 5  # a cell with fewer days with alerts is a quiet one
SHARED = ("poverty", "vacancy")  # factors that all three cities have by the same definition
DAY_BEFORE, SAME_DAY = "weather of the day before", "weather of the day itself, as if it had been known"


def _polygons(path: Path, column: str, figure: str, known_from: date) -> dict[str, Any]:
    return {"kind": "polygons", "path": path, "column": column, "figure": figure, "known_from": known_from}


def _points(path: Path, known_from: date, **more: Any) -> dict[str, Any]:
    return {"kind": "points", "path": path, "known_from": known_from, **more}


def _weather(path: Path, known_from: date, **columns: str) -> dict[str, dict[str, Any]]:
    series = {"kind": "series", "path": path, "known_from": known_from}
    return {
        f"{name}{suffix}": {**series, "column": column, "days_late": days_late}
        for name, column in columns.items()
        for suffix, days_late in (("", 0), ("_of_the_day", -1))
    }


def _joined(shapes: Path, key: str, figures: pd.DataFrame, file: Path) -> Path:
    """The areas of one file with the figures of another, joined by the column `key` and `geoid`."""
    areas = geopandas.read_file(shapes) if shapes.suffix == ".geojson" else geopandas.read_parquet(shapes)
    areas = areas[[key, "geometry"]].rename(columns={key: "geoid"}).merge(figures, on="geoid")
    areas.to_parquet(file)
    return file


def _chosen(source: Path, file: Path, kept: Callable[[Any], Any]) -> Path:
    table = (
        pd.read_parquet(source)
        if "geometry" not in pa.parquet.read_schema(source).names
        else geopandas.read_parquet(source)
    )
    table[kept(table)].to_parquet(file)
    return file


def factors_of(city: str, data: Path, cache: Path) -> dict[str, dict[str, Any]]:
    """The settings of a city's factors, whose files are made where several are to be joined."""
    layers, made = data / "layers", cache / "factor_files"
    made.mkdir(parents=True, exist_ok=True)
    deprivation = pd.read_parquet(layers / "us/deprivation_tract_acs2015_acs2018.parquet")
    deprivation = deprivation[deprivation["acs_end_year"] == 2015][
        ["geoid", "fraction_poverty", "fraction_vacant_housing"]
    ]
    if city == "washington_dc":
        own = layers / "washington_dc"
        census = pd.read_parquet(own / "acs_tract_2007_2014.parquet")
        census = census[census["acs_period"] == "2008-2012"].assign(
            fraction_poverty=lambda table: table["poverty_people_pct"] / 100,
            fraction_vacant_housing=lambda table: table["vacant_pct"] / 100,
        )
        tracts = _joined(layers / "washington_dc_tracts_2010.geojson", "geoid", census, made / "dc_tracts.parquet")
        published, copied = date(2013, 12, 17), date(2016, 8, 16)
        crimes = _chosen(
            own / "crime_2006_2012.parquet", made / "dc_gun.parquet", lambda table: table["method"] == "gun"
        )
        areas = geopandas.read_parquet(own / "areas_2016.parquet")
        areas = areas[areas["category"] == "public_housing"]
        # Two projects may lie on the same ground.
        areas.dissolve(by=areas.geometry.to_wkb(), aggfunc={"units": "sum"}).to_parquet(made / "dc_homes.parquet")
        liquor, roads = own / "liquor_licenses_2013.parquet", own / "major_roads_ddot.parquet"
        return {
            "poverty": _polygons(tracts, "fraction_poverty", "rate", published),
            "vacancy": _polygons(tracts, "fraction_vacant_housing", "rate", published),
            "people": _polygons(tracts, "pop_total", "count", published),
            "liquor": _points(liquor, date(2013, 6, 25)),
            "gun_crimes": _points(crimes, date(2012, 7, 18)),
            "public_housing": _polygons(made / "dc_homes.parquet", "units", "count", copied),
            "arterials": {"kind": "lines", "path": roads, "known_from": date(2013, 1, 1)},
        }
    if city == "cincinnati":
        own = layers / "cincinnati_oh"
        tracts = _joined(
            own / "tracts_2010.parquet", "census_tract_id_2010", deprivation, made / "cincinnati_tracts.parquet"
        )
        violations = _chosen(
            own / "housing_violations_points.parquet",
            made / "cincinnati_violations.parquet",
            lambda table: table["issued"] < pd.Timestamp(2017, 1, 1),
        )
        published = date(2016, 12, 8)
        return {
            "poverty": _polygons(tracts, "fraction_poverty", "rate", published),
            "vacancy": _polygons(tracts, "fraction_vacant_housing", "rate", published),
            "violations": _points(violations, date(2017, 1, 1)),
            "streets": {
                "kind": "lines",
                "path": own / "streets_tiger_address_ranges.parquet",
                "known_from": date(2017, 1, 1),
            },
            **_weather(own / "weather_daily.parquet", date(2015, 1, 1), heat="tmean_c", rain="era_precip_mm"),
        }
    own = layers / "oakland_ca"
    tracts = _joined(own / "tracts_2010_alameda.parquet", "geoid", deprivation, made / "oakland_tracts.parquet")
    main = ("motorway", "trunk", "primary", "secondary")
    roads = _chosen(
        own / "streets_osm.parquet", made / "oakland_roads.parquet", lambda table: table["highway"].isin(main)
    )
    # Of 2011 to 2015, as if they had been known in 2008: what such figures could bring at most.
    return {
        "poverty": _polygons(tracts, "fraction_poverty", "rate", date(2008, 1, 1)),
        "vacancy": _polygons(tracts, "fraction_vacant_housing", "rate", date(2008, 1, 1)),
        "arterials": {"kind": "lines", "path": roads, "known_from": date(2008, 1, 1)},
        **_weather(own / "weather_daily.parquet", date(2008, 1, 1), heat="tmax_c", rain="precip_mm"),
    }


CUTOFFS = {"washington_dc": quarters(2017, 1, 2), "oakland": quarters(2010, 1, 4), "cincinnati": quarters(2021, 1, 4)}
"""Of the folds; the tests of `next_day.py` start later."""


def name_with_factors(city: str) -> str:
    """Name of a city's benchmark with its factors."""
    return f"{city}_factors"


def _tuning(city: str) -> str:
    return f"{city}_factors_tuning"


def chosen_inputs(names: tuple[str, ...]) -> dict[str, list[str]]:
    """The inputs of each variant: none, each factor, all of places, and the weather."""
    places = [name for name in names if name.startswith("factor_")]
    series = [name for name in names if name.startswith("series_")]
    return {
        WITHOUT: [],
        **{name.removeprefix("factor_"): [name] for name in places},
        "all of these": places,
        **({DAY_BEFORE: [name for name in series if "of_the_day" not in name]} if series else {}),
        **({SAME_DAY: [name for name in series if "of_the_day" in name]} if series else {}),
    }


def _kept(inputs: Inputs, kept: list[str]) -> Inputs:
    """The inputs without the factors that are not among `kept`: their columns are zero."""
    dropped = [at for at, name in enumerate(inputs.names) if name.startswith(FACTORS) and name not in kept]
    values = inputs.values.copy()  # noqa: PD011  # no data frame
    values[:, :, dropped] = 0.0
    return Inputs(values, inputs.names)


def thin(fold: Fold) -> Fold:
    """The fold with the last twelve months before its cutoff."""
    return fold.of_last(THIN_DAYS, round(0.15 * THIN_DAYS))


def start_of(city: str, kept: tuple[str, ...], data: Path, cache: Path) -> SharedStart:
    """The start learned from the other two cities before their own first test days, with the factors of those names."""
    rows = {}
    for other in CUTOFFS:
        if other == city:
            continue
        own = between(rows_of(name_with_factors(other), data, cache), date.min, BENCHMARKS[other].cutoffs[0])
        at = [
            number
            for number, name in enumerate(own.names)
            if not name.startswith(FACTORS) or name.startswith(tuple(f"factor_{factor}_" for factor in kept))
        ]
        rows[other] = SharedRows(
            tuple(own.names[number] for number in at), own.inputs[:, at], own.observed, own.sample_weight, own.days
        )
    start = fit_shared(rows, date(2023, 1, 1), leave_each_out=False).start_of(city, ALL_CITIES)
    assert start is not None
    return start


def forecasts_of(
    fold: Fold, variants: Mapping[str, tuple[list[str], SharedStart | None]], cache: Path, kind: str
) -> dict[str, np.ndarray]:
    """Test forecasts by variant, each kept in the cache as soon as it is there."""
    forecasts = {}
    data = once(lambda: FitData(fold.history.through(fold.validation.stop), fold.train, fold.validation))
    for name, (kept_inputs, start) in variants.items():
        kept = cache / f"factors_{kind}_{fold.name}_{name.replace(' ', '_').replace(',', '')}.npy"
        if not kept.exists():
            changed = replace(
                data(),
                history=replace(data().history),
                inputs_of=lambda history, days, names=kept_inputs: _kept(next_day_inputs(history, days), names),
            )
            fitted = fit_regressions(changed, start).both
            np.save(kept, fitted.predict(fold.history, fold.test).astype(np.float32))
            print(f"{fold.name} {kind} {name}", file=sys.stderr, flush=True)
        forecasts[name] = np.load(kept).astype(np.float64)
    return forecasts


def of_quiet_cells(fold: Fold, forecasts: dict[str, np.ndarray]) -> pa.Table:
    """The forecasts table of the cells with few days with alerts before the cutoff."""
    quiet = fold.history.observed[: fold.test.start].sum(axis=0) < QUIET_DAYS
    in_coverage = fold.history.in_coverage.copy()
    in_coverage[in_coverage] = quiet
    cells = replace(fold, history=replace(fold.history, in_coverage=in_coverage))
    return cells.table({name: forecast[:, quiet] for name, forecast in forecasts.items()})


def one_city(data: Path, cache: Path) -> None:
    """Print the gain of all factors of places in Washington DC, fitted on two years and on one."""
    city = "washington_dc"
    name = f"{city}_alone"
    BENCHMARKS[name] = replace(BENCHMARKS[city], factors=factors_of(city, data, cache))
    fold = folds(name, data, cache)[-1]
    print_head("days before the quarter", "cell-days with an alert", "gain of all factors of places")
    for days in (2 * THIN_DAYS, THIN_DAYS):
        shorter = fold.of_last(days, round(0.15 * days))
        names = tuple(factor.name for factor in shorter.history.factors.of_cells)
        variants = {variant: (kept, None) for variant, kept in chosen_inputs(names).items() if len(kept) != 1}
        forecasts = forecasts_of(shorter, variants, cache, f"alone_{days}")
        table = without_firework_days(shorter.table(forecasts))
        positives = int(table["observed"].to_numpy().sum())
        print_row(days, f"{positives:,}", table_gain(table, "all of these", WITHOUT).text())


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=list(CUTOFFS), choices=list(CUTOFFS), needs_data=True)
    arguments.add_argument("--one-city", action="store_true", help="Washington DC alone, in minutes")
    chosen = arguments.parse_args()
    if chosen.one_city:
        one_city(chosen.data, chosen.cache)
        return
    for city, cutoffs in CUTOFFS.items():
        BENCHMARKS[name_with_factors(city)] = replace(
            BENCHMARKS[city], factors=factors_of(city, chosen.data, chosen.cache)
        )
        BENCHMARKS[_tuning(city)] = replace(BENCHMARKS[name_with_factors(city)], cutoffs=cutoffs)
    starts = {
        city: [start_of(city, kept, chosen.data, chosen.cache) for kept in ((), SHARED)] for city in chosen.cities
    }
    print_head("city", "factor", "all of its past", "its last twelve months", "of these, quiet cells")
    for city in chosen.cities:
        tables: dict[str, list[pa.Table]] = {"rich": [], "thin": [], "quiet": []}
        for fold in folds(_tuning(city), chosen.data, chosen.cache):
            names = chosen_inputs(
                tuple(factor.name for factor in (*fold.history.factors.of_cells, *fold.history.factors.of_days))
            )
            alone, with_others = starts[city]
            variants = {name: (kept, alone) for name, kept in names.items()}
            of_all = [name for name in names["all of these"] if name in with_others.slopes]
            variants["poverty and vacancy, started at the other cities"] = (of_all, with_others)
            for kind, one in (("rich", fold), ("thin", thin(fold))):
                forecasts = forecasts_of(one, variants, chosen.cache, kind)
                tables[kind].append(one.table(forecasts))
                if kind == "thin":
                    tables["quiet"].append(of_quiet_cells(one, forecasts))
        joined = {kind: without_firework_days(pa.concat_tables(parts)) for kind, parts in tables.items()}
        for name in variants:
            if name != WITHOUT:
                print_row(city, name, *(table_gain(table, name, WITHOUT).text() for table in joined.values()))


if __name__ == "__main__":
    main()
