"""Two runs of one city at once: files that they share are merged, and what they may have mixed stays due."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.lineage import Origin, begin_lineage, read_lineage, record_lineage
from shotspotter_assets.storage.store import Store

CITY = "town"
DAY = date(2026, 3, 2)
RUNS = 6
DAYS_OF_RUN = 5


def day(version: str) -> Day:
    return Day("known", "It has rows.", 1, 0, "settings", None, {"a.csv": version})


def test_changes_of_many_runs_at_once_are_all_kept(store: Store) -> None:
    def run(number: int) -> None:
        for at in range(DAYS_OF_RUN):
            own = DAY + timedelta(days=number * DAYS_OF_RUN + at)
            DayTable.finish(store, CITY, {own: day("1")}, DayTable.claim(store, CITY, {own: day("1")}))
            begin_lineage(store, Asset.RISK_FORECASTS, CITY, {own: "1"})
            record_lineage(store, Asset.RISK_FORECASTS, CITY, {own: Origin("1")})

    with ThreadPoolExecutor(RUNS) as pool:
        list(pool.map(run, range(RUNS)))
    days = [DAY + timedelta(days=at) for at in range(RUNS * DAYS_OF_RUN)]
    assert list(DayTable.read(store, CITY).days) == days
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY) == {str(one): Origin("1") for one in days}


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_product_of_two_runs_with_different_inputs_stays_due(store: Store, order: tuple[str, str]) -> None:
    for inputs in ("first", "second"):
        begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: inputs})
    for inputs in order:
        record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin(inputs)})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)].made_from != "second"
    begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: "second"})
    record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin("second")})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)].made_from == "second"


def test_a_product_of_two_runs_with_equal_inputs_is_current(store: Store) -> None:
    for _ in range(2):
        begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: "same"})
    for _ in range(2):
        record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin("same")})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)] == Origin("same")


@pytest.mark.parametrize("is_stored", [True, False])
def test_rows_of_two_runs_with_different_files_stay_due(store: Store, *, is_stored: bool) -> None:
    if is_stored:
        DayTable.update(store, CITY, {DAY: day("0")})
    claims = [(version, DayTable.claim(store, CITY, {DAY: day(version)})) for version in ("1", "2")]
    for version, claimed in claims:
        DayTable.finish(store, CITY, {DAY: day(version)}, claimed)
    assert DayTable.read(store, CITY).days[DAY].sources not in ({"a.csv": "1"}, {"a.csv": "2"})
    DayTable.finish(store, CITY, {DAY: day("2")}, DayTable.claim(store, CITY, {DAY: day("2")}))
    assert DayTable.read(store, CITY).days[DAY] == day("2")
