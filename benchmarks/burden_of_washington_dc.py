"""Burden of Washington DC by tract: `python benchmarks/burden_of_washington_dc.py --data FOLDER --cache FOLDER`.

Each quarter of 2015 to 2018 is forecast by a stack without the network that is fitted to the days before it, as a city would;
2014 only trains. Residents are those of the American Community Survey 2012 to 2016 by tract. Its tables by tract give no margins
of error here: that of all residents is taken from the block groups of the tract (root of the summed squares), and that of a group
is as much smaller as the root of its share. The layer is made in the cache; the package holds nothing of it. Prints the findings,
the measures of groups as a table, and the frontier.
"""

import time
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
from benchmark_cities import BENCHMARKS, folds, history_of, parser, print_head, print_row
from stack_members import members_of, stack_of

from shotspotter_assets.accountability.burden_report import BurdenFiles, burden_files
from shotspotter_assets.accountability.policies import CELL_MEAN, AuditedDays
from shotspotter_assets.accountability.residents import Residents
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.grid.coverage import cell_districts, district_areas
from shotspotter_assets.pages.places import read_layers

NAME = "washington_dc_burden"
MEMBERS = ("residual_boosting", "gradient_boosting", "ew_kde")
YEAR = 2016
GROUPS = {"Black": "black", "White": "white"}


def audit_layer(data: Path, cache: Path) -> Path:
    """The tracts with residents, groups, income and margins of error, as GeoJSON in the cache."""
    layers = data / "layers"
    figures = pd.read_parquet(layers / "washington_dc/acs_tract_yearly_2010_2020.parquet")
    figures = figures[figures["acs_end_year"] == YEAR].set_index("geoid")
    blocks = pd.read_parquet(layers / "washington_dc/acs_block_groups_2012_2016.parquet", columns=["geoid", "pop_moe"])
    margin = np.sqrt((blocks["pop_moe"] ** 2).groupby(blocks["geoid"].astype(str).str[:11]).sum())
    tracts = geopandas.read_file(layers / "washington_dc_tracts_2010.geojson")[["geoid", "geometry"]].set_index("geoid")
    tracts["residents"] = figures["pop_total"]
    tracts["residents_margin"] = margin
    tracts["income"] = figures["median_household_income_usd"]
    for group in GROUPS.values():
        share = figures[f"{group}_pct"] / 100
        tracts[group] = share * tracts["residents"]
        tracts[f"{group}_margin"] = np.sqrt(share) * margin
    file = cache / "washington_dc_residents.geojson"
    tracts.reset_index().to_file(file)
    return file


def audited_city(layer: Path) -> City:
    """The city of the benchmark, with the packaged districts and the audit layer."""
    city = load_city(PACKAGE_CITIES / "washington_dc_2018.yaml")
    groups = {name: {"column": column, "margin": f"{column}_margin"} for name, column in GROUPS.items()}
    audit = {
        "path": layer,
        "name": "geoid",
        "year": YEAR,
        "residents": {"column": "residents", "margin": "residents_margin"},
        "groups": groups,
        "income": {"column": "income"},
    }
    described = city.model_dump(exclude={"source", "other_sources"}) | {"audit": audit}
    return City.model_validate(described | {"source": city.source})


def forecasts_of(data: Path | None, cache: Path) -> pa.Table:
    """The forecasts of all quarters."""
    tables = []
    for fold in folds(NAME, data, cache):
        members = members_of(fold, cache, (*MEMBERS, "historical_mean"))
        stack = stack_of(fold, {name: members[name] for name in MEMBERS})
        forecasts = {SERVED: stack.predict(fold.history, fold.test), CELL_MEAN: members["historical_mean"].test}
        tables.append(fold.table(forecasts))
    return pa.concat_tables(tables)


def show(files: BurdenFiles) -> None:
    """Print the findings and tables."""
    for line in (*files.audit.sentences, files.audit.conclusion, *files.audit.left_out):
        print(f"- {line}")
    print()
    print_head("measure", "kind", "group", "policy", "value", "low", "high")
    for row in files.burden.to_pylist():
        if row["kind"] != "area" and row["value"] is not None:
            ends = ["" if row[end] is None else f"{row[end]:.3f}" for end in ("low", "high")]
            print_row(row["measure"], row["kind"], row["group"], row["policy"], f"{row['value']:.3f}", *ends)
    print()
    print_head(*files.frontier.column_names)
    for row in files.frontier.to_pylist():
        print_row(*(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()))


def main() -> None:
    """Fit what is not in the cache, audit, and print."""
    chosen = parser(__doc__, cities=[NAME], needs_data=True).parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    city = audited_city(audit_layer(chosen.data, chosen.cache))
    forecasts = forecasts_of(None, chosen.cache)
    history = history_of(NAME, None, chosen.cache)
    started = time.process_time()
    audited = AuditedDays.of(forecasts, history)
    residents = Residents.read(city, city.audit)
    layers, problems = read_layers(city)
    areas = cell_districts(city, district_areas(city, layers.get("districts")))
    assert audited is not None
    show(burden_files(city, audited, areas, residents, problems))
    print(
        f"\n{BENCHMARKS[NAME].start}: {len(audited.days):,} days, {audited.alerts.sum():,} alerts, "
        f"{time.process_time() - started:.1f} s of CPU for the audit"
    )


if __name__ == "__main__":
    main()
