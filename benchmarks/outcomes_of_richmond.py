"""Outcomes of calls about shots in Richmond, California: `python benchmarks/outcomes_of_richmond.py --data FOLDER`.

FOLDER holds `richmond_ca_calls_2019_2020.parquet`, a public records answer of the police department that the package does not
contain. The calls of sensors of 2019 and 2020 land as alerts, moved by up to three minutes and 150 m. All calls land as outcomes,
without the number that joins both: they are matched by time and place. Two runs of Dagster build the alerts and the outcomes of
all days, as a city's own installation does. Prints the matching, the outcomes, the time of calls, and sensors beside persons
with 95% intervals (2,000 bootstrap samples of weeks).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd

from shotspotter_assets.accountability.alert_outcomes import outcome_summary, read_outcomes
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.partitions import asset_key, range_tags
from shotspotter_assets.defs.resources import resources
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import ALERTS, CLEANED, Asset
from shotspotter_assets.storage.store import Store

FILE = "richmond_ca_calls_2019_2020.parquet"
FIRST = date(2019, 1, 1)
LAST = date(2020, 12, 31)
SAMPLES = 2_000
EARLIER_S = 180  # maximum time by which a sensor's alert lands before its call
AWAY_M = 150  # maximum distance north and east of an alert from its call
METRES_PER_DEGREE = 111_320
OUTCOMES = ("confirmed", "unfounded", "unconfirmed", "open")
CITY_FILE = """
name: richmond_ca
time_zone: America/Los_Angeles
start: 2019-01-01
end: 2020-12-31
box: {west: -122.42, south: 37.89, east: -122.28, north: 37.99}
source:
  kind: landing
  settle_seconds: 0
  columns: {time: received_at, source_id: event_number}
outcomes:
  source:
    kind: landing
    settle_seconds: 0
    columns: {time: received_at, source_id: event_number}
  columns: {code: disposition_code, cleared: cleared_at, origin: origin}
  codes:
    RTF: confirmed      # REPORT TO FOLLOW
    R36: confirmed      # EVIDENCE WORK
    R23: unconfirmed    # UNABLE TO LOCATE
    NPA: unconfirmed    # NO POLICE ACTION
    R10: unconfirmed    # MISC. EXTRA PATROL
    R22: unconfirmed    # SECURITY CHECK
    NR: unconfirmed     # NO RESPONSE
    R12: unfounded      # SERVICE RENDERED NO CRIME
    R25: unfounded      # FALSE ALARMS ( NON-FIRE)
  origins: {Shotspotter: sensor, Phone: person, "911": person}
  within_minutes: 10
  within_m: 300
"""


def moved(calls: pd.DataFrame) -> pd.DataFrame:
    """The calls of sensors as alerts: somewhat earlier and elsewhere, with the number of the call as the alert's id."""
    random = np.random.default_rng(0)
    before = pd.to_timedelta(random.uniform(0, EARLIER_S, len(calls)), unit="s").round("s")
    north, east = random.uniform(-AWAY_M, AWAY_M, (2, len(calls))) / METRES_PER_DEGREE
    return calls.assign(
        received_at=calls["received_at"] - before,
        latitude=calls["latitude"] + north,
        longitude=calls["longitude"] + east / np.cos(np.radians(38)),
    )


def chain(data: Path, folder: Path, first: date = FIRST, last: date = LAST) -> tuple[Store, City]:
    """Land the calls in a new installation and build alerts and outcomes of some days; return its store and city."""
    calls = pd.read_parquet(data / FILE)
    landed = {"richmond_ca": moved(calls[calls["origin"] == "Shotspotter"]), "richmond_ca_outcomes": calls}
    for name, table in landed.items():
        (folder / "landing" / name).mkdir(parents=True)
        table.to_parquet(folder / "landing" / name / "calls.parquet")
    (folder / "cities").mkdir()
    (folder / "cities" / "richmond_ca.yaml").write_text(CITY_FILE)
    cities = load_cities(folder / "cities")
    settings = Settings(cities, str(folder / "store"), str(folder / "landing"))
    definitions = build_definitions(settings)
    city = cities["richmond_ca"]
    quiet = {"python_logs": {"python_log_level": "ERROR"}}
    with dg.DagsterInstance.ephemeral(settings=quiet) as instance:
        for assets in (ALERTS, (Asset.ALERT_OUTCOMES,)):
            dg.materialize(
                [*(definitions.assets or [])],
                selection=dg.AssetSelection.assets(*(asset_key(city, asset) for asset in assets)).without_checks(),
                resources=resources(settings),
                tags=range_tags(first, last),
                instance=instance,
            )
    return Store(settings.store_root), city


def matching(store: Store, city: City, data: Path) -> str:
    """How many alerts have a report, and how many of these have that of their own call, or of one at the same minute and place."""
    reports = read_outcomes(store, city, FIRST, LAST).to_pandas()
    alerts = store.read_window(CLEANED, city.name, FIRST, LAST, ["user_id", "source_id"]).to_pandas()
    calls = pd.read_parquet(data / FILE).set_index("event_number")
    found = reports[reports["user_id"].notna()].merge(alerts, on="user_id")
    own = calls.loc[found["source_id"]]
    is_right = (own["received_at"].dt.tz_convert("UTC").to_numpy() == found["received_utc"].to_numpy()) & (
        own["latitude"].to_numpy() == found["latitude"].to_numpy()
    )
    share = f"{is_right.sum():,} of them ({is_right.mean():.1%}) that of their own call"
    return f"{len(found):,} of {len(alerts):,} alerts are matched by time and place, {share}."


def interval(reports: pd.DataFrame, measure: Callable[[np.ndarray], float], column: str) -> str:
    """A measure of a column of reports with its 95% interval, from samples of whole weeks."""
    weeks = [part[column].to_numpy() for _, part in reports.groupby(pd.to_datetime(reports["date"]).dt.to_period("W"))]
    random = np.random.default_rng(0)
    picked = random.integers(0, len(weeks), (SAMPLES, len(weeks)))
    samples = [np.concatenate([weeks[number] for number in numbers]) for numbers in picked]
    low, high = np.quantile([measure(sample) for sample in samples], [0.025, 0.975])
    return f"{measure(np.concatenate(weeks)):.3g} ({low:.3g} to {high:.3g})"


def rows_by_origin(reports: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Rows of the table of sensors beside persons: name, sensors, persons."""
    minutes = (reports["cleared_utc"] - reports["received_utc"]).dt.total_seconds() / 60
    reports = reports.assign(minutes=minutes)
    parts = [reports[reports["origin"] == origin] for origin in ("sensor", "person")]
    yield "reports", *(f"{len(part):,}" for part in parts)
    for outcome in OUTCOMES:
        flagged = [part.assign(share=100.0 * (part["outcome"] == outcome)) for part in parts]
        yield f"{outcome}, %", *(interval(part, lambda values: float(values.mean()), "share") for part in flagged)
    cleared = [part[part["minutes"].notna()] for part in parts]
    yield "reports with a clearance", *(f"{len(part):,}" for part in cleared)
    medians = (interval(part, lambda values: float(np.median(values)), "minutes") for part in cleared)
    yield "receipt to clearance, median minutes", *medians
    yield "receipt to clearance, 90% within", *(f"{part['minutes'].quantile(0.9):.0f}" for part in cleared)
    for outcome in OUTCOMES[:3]:
        hours = (part.loc[part["outcome"] == outcome, "minutes"].sum() / 60 for part in cleared)
        yield f"hours, {outcome}", *(f"{number:,.0f}" for number in hours)


def main() -> None:
    """Print matching, outcomes by year, and sensors beside persons."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    data = arguments.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        store, city = chain(data, Path(folder))
        print(matching(store, city, data), end="\n\n")
        print("| year | alerts | with a report | " + " | ".join(OUTCOMES) + " | unmatched reports | persons |")
        print("| --- " * (5 + len(OUTCOMES)) + "|")
        for number in range(FIRST.year, LAST.year + 1):
            year = outcome_summary(store, city, max(FIRST, date(number, 1, 1)), min(LAST, date(number, 12, 31)))
            by_outcome = [f"{year.alerts_by_outcome.get(outcome, 0):,}" for outcome in OUTCOMES]
            numbers = [
                f"{year.alerts:,}",
                f"{year.alerts_with_report:,}",
                *by_outcome,
                year.unmatched,
                year.persons.number,
            ]
            print(f"| {number} | {' | '.join(map(str, numbers))} |")
        print("\n| | sensors | persons |\n| --- | --- | --- |")
        for row in rows_by_origin(read_outcomes(store, city, FIRST, LAST).to_pandas()):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
