from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.alerts.checks.clock import clock
from shotspotter_assets.alerts.checks.row_shares import share_outside_coverage
from shotspotter_assets.alerts.days.day_decisions import day_decisions
from shotspotter_assets.alerts.days.day_table import DayRows
from shotspotter_assets.alerts.days.day_words import NO_WORDS
from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.city_files import PACKAGE_CITIES, CityFile
from shotspotter_assets.grid.dates import dates_of, rows_by_day
from shotspotter_assets_tests.alerts.checks.real_cities import RealCity, cities, load, of_raw
from shotspotter_assets_tests.alerts.checks.sound_city import findings
from shotspotter_assets_tests.conftest import real_alerts

FIRING = {
    # A third of its alerts is of the fireworks of July 2013.
    "brockton_ma": {"firework_days": ["July 2013"]},
    # New cells have a third of all alerts from October 2015 on; the points of 2018 have two decimals.
    "camden_nj_dateonly": {
        "new_area": ["2015-12-18"], "level_change": ["2016-03-18"], "points": ["to 2018-09-14", "two decimals"],
    },
    # The night of 31 May 2020 had four times the usual gun batteries: unrest, not an error.
    "chicago_il_gun_battery_2018_2021": {"unusual_days": ["2020-05-31"]},
    "chicago_il_gun_incidents_2023_2024": {},
    "cincinnati_oh": {"new_area": ["2019-10-08", "2020-07-07"], "level_change": ["2020-01-07", "2020-10-06"]},
    # New cells have a third of all alerts from November 2017 on; New Year has 30 ordinary days' alerts.
    "fresno_ca": {"new_area": ["2018-02-12"], "firework_days": ["NewYear 2017", "NewYear 2018"]},
    # An eighth of its alerts is at one point.
    "goldsboro_nc": {"points": ["35.379951, -77.973244", "default point"]},
    "new_york_ny_shootings": {},
    # New cells have a fifth of all alerts from April 2013 on.
    "oakland_ca": {"silent_days": ["2011-01-02 to 2011-07-26", "2010-11-21", "2010-03-20"], "new_area": ["2013-07-07"]},
    # One row is dated after the snapshot was taken.
    "philadelphia_pa_shootings": {"silent_days": ["2025-01-27 to 2025-11-25"]},
    "san_francisco_ca": {"share_untyped": ["69.4%"], "firework_days": ["July 2013"]},
    "springfield_ma_hourly": {
        "level_change": ["2011-11-22", "2012-08-21"], "firework_days": ["July 2010"],
        "unusual_days": ["2012-06-30 (205 alerts", "7 days"],
        "points": ["ows of 186 m are too narrow", "at most 30 rows"],
    },
    "washington_dc": {"firework_days": ["July 2014", "July 2015"]},
    "washington_dc_2006_2013": {
        "new_area": ["2008-04-08", "2008-07-08"], "level_change": ["2009-01-06"], "share_untyped": ["20.8%"],
        "firework_days": ["July 2009", "July 2013"], "unusual_days": ["2010-06-26 (162", "2013-04-06 (67"],
        "silent_days": ["2006-11-21 to 2006-12-21"],
    },
    "washington_dc_crime_2017": {},
    "wilmington_nc": {},
}  # fmt: skip
"""Each check that fires, with parts of its message: all are in the publisher's data, and most in its description."""
HELD_BACK = {"springfield_ma_hourly": [date(2012, 6, 30)]}
"""Days that wait for a person's word: at most one a year in each city."""
CITIES = cities()
QUICK = {"springfield_ma_hourly", "washington_dc"}
"""The city of the package, and the one with most defects."""


def slow_but_for_quick(names: Iterable[str]) -> list[Any]:
    """Return names as parameters: all cities take a minute."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@lru_cache(maxsize=1)  # tests of a city follow each other; the alerts of all cities take half a gigabyte
def real(name: str) -> RealCity:
    return load(CITIES[name], real_alerts(name))


def test_there_is_a_file_for_every_data_set_of_events(real_data: Path) -> None:
    files = real_data.glob("*.parquet")
    events = {
        file.stem for file in files if "occurred_at" in pq.read_schema(file).names
    }  # others are calls for service
    assert set(CITIES) == events == set(FIRING)


@pytest.mark.parametrize("name", slow_but_for_quick(FIRING))
def test_known_defects_are_found_and_nothing_else(name: str) -> None:
    city = real(name)
    account = city.account()
    assert city.gridded() == account["cleaned"] == city.alerts.num_rows
    assert account["received"] == city.raw.num_rows
    found = findings(city.window())
    firing = {check: finding.message for check, finding in found.items() if not finding.passed}
    assert set(firing) == set(FIRING[name]), firing
    for check, parts in FIRING[name].items():
        for part in parts:
            assert part in firing[check]
    assert unusual(city) == HELD_BACK.get(name, [])


def unusual(city: RealCity) -> list[date]:
    """The days that would wait for a person's word."""
    numbers = rows_by_day(dates_of(city.alerts), city.days)
    rows = {day: DayRows(number) for day, number in numbers.items() if number}
    decisions = day_decisions(city.city, [SourceReport()], NO_WORDS, rows, city.days[-1])
    return [day for day, decision in decisions.items() if decision.is_unusual]


PRECISIONS = {"camden_nj_dateonly": "day", "springfield_ma_hourly": "hour"}


@pytest.mark.parametrize("name", slow_but_for_quick(PRECISIONS))
def test_coarse_times_must_be_said_in_the_city_file(name: str) -> None:
    city = real(name)
    silent = replace(city, city=city.city.model_copy(update={"time_precision": "second"}))
    finding = clock(silent.window())
    assert not finding.passed
    assert f"all times are whole {PRECISIONS[name]}s: set time_precision" in finding.message.lower()


FROM_UTC = {"springfield_ma_hourly": 5, "fresno_ca": 8, "goldsboro_nc": 5, "washington_dc": 5}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", slow_but_for_quick(FROM_UTC))
def test_a_wrong_zone_is_found(name: str, sign: int) -> None:
    city = real(name)
    hours = sign * FROM_UTC[name]
    micros = city.raw["time_utc"].cast(pa.int64()).to_numpy() + hours * 3_600_000_000
    moved = pa.array(micros).cast(pa.timestamp("us", "UTC"))
    raw = city.raw.set_column(city.raw.schema.get_field_index("time_utc"), "time_utc", moved)
    dates = pa.array((moved.cast(pa.timestamp("us", city.city.zone.key))).to_pandas().dt.date, pa.date32())
    raw = raw.set_column(0, city.raw.schema.field("date"), dates)
    shifted = of_raw(city.city, raw.filter(pa.compute.greater_equal(raw["date"], pa.scalar(city.city.start))))
    finding = clock(shifted.window())
    assert not finding.passed
    assert f"{abs(hours)} hours too {'late' if hours > 0 else 'early'}" in finding.message


@pytest.mark.parametrize(
    ("areas", "passed"),
    [
        # The six districts with sensors, then two of them, one of which from 2016 on only.
        (dict.fromkeys("134567", "2014-01-01"), True),
        ({"7": "2014-01-01", "6": "2016-01-01"}, False),
    ],
)
def test_alerts_outside_published_districts_are_found(areas: dict[str, str], passed: bool) -> None:
    city = real("washington_dc")
    file = PACKAGE_CITIES / "washington_dc" / "police_districts.geojson"
    coverage = {"file": file, "name_property": "district", "areas": areas}
    published = CityFile.model_validate(city.city.model_dump() | {"coverage": coverage})
    window = replace(city, city=published).window()
    finding = share_outside_coverage(window)
    assert finding.passed == passed, finding.message
    assert "lie where the city publishes no sensors" in finding.message
