"""The command on Richmond's calls agrees with counts of the same file without the project."""

from datetime import date
from pathlib import Path

import pandas as pd

from benchmarks.outcomes_of_richmond import FILE, chain
from shotspotter_assets.accountability.alert_outcomes import outcome_summary

FIRST = date(2020, 1, 1)
LAST = date(2020, 1, 31)


def test_outcomes_of_richmond_are_those_of_its_calls(real_data: Path, tmp_path: Path) -> None:
    store, city = chain(real_data, tmp_path, FIRST, LAST)
    year = outcome_summary(store, city, FIRST, LAST)
    calls = pd.read_parquet(real_data / FILE)
    calls = calls[calls["received_at"].dt.strftime("%Y-%m") == "2020-01"]
    by_sensors = calls[calls["origin"] == "Shotspotter"]
    assert year.alerts == (by_sensors["longitude"].notna()).sum() > 0
    assert year.alerts_with_report >= 0.95 * year.alerts
    assert year.sensors.number + year.persons.number == len(calls)
    assert (
        year.persons.by_outcome["unconfirmed"]
        == (
            (calls["origin"] != "Shotspotter") & calls["disposition_code"].isin(["R23", "NPA", "R10", "R22", "NR"])
        ).sum()
    )
