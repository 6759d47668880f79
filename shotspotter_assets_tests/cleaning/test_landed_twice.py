"""A file that was landed again with other times is recognised; alerts that are near each other by nature are all kept."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.cleaning.conservation import unaccounted_rows
from shotspotter_assets.cleaning.refusal import refuse_mostly_rejected
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.quality.real_cities import RealCity, cities, load, of_raw, of_real_cities
from shotspotter_assets_tests.quality.sound_city import CITY, sound

MONTH = days_between(date(2024, 3, 1), date(2024, 3, 31))


def month(per_day: float = 15.0, seed: int = 0) -> pd.DataFrame:
    """One file of a month, as raw rows."""
    rows = sound(per_day, seed)
    local = rows["time_utc"].dt.tz_convert(CITY.zone).dt.date
    rows = rows[local.between(MONTH[0], MONTH[-1])].reset_index(drop=True)
    rows["time_utc"] = rows["time_utc"].dt.floor("s")
    received = datetime(2024, 4, 1, tzinfo=UTC)
    return rows.assign(
        rounds=1, as_received=None, received_from="march.csv", received_row=np.arange(len(rows)), received_at=received
    )


def again(rows: pd.DataFrame, seconds: int = 1, ids: bool = True, name: str = "other.csv") -> pd.DataFrame:
    """The rows in another file that came a day later."""
    copied = rows.assign(
        time_utc=rows["time_utc"] + pd.Timedelta(seconds=seconds),
        received_from=name,
        received_at=rows["received_at"] + timedelta(days=1),
    )
    return copied if ids else copied.assign(source_id=None)


def raw_of(*files: pd.DataFrame, city: City = CITY) -> pa.Table:
    rows = pd.concat(files, ignore_index=True)
    rows["date"] = rows["time_utc"].dt.tz_convert(city.zone).dt.date
    rows["rounds"] = rows["rounds"].astype("Int32")
    return pa.Table.from_pandas(rows[RAW_SCHEMA.names], RAW_SCHEMA, preserve_index=False)


def cleaned(*files: pd.DataFrame) -> RealCity:
    city = of_raw(CITY, raw_of(*files))
    assert unaccounted_rows(city.raw, city.alerts, city.rejected) == {}
    return city


def alerts_of(*files: pd.DataFrame) -> int:
    return cleaned(*files).alerts.num_rows


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("seconds", [0, 1, 7, -3600, 18_000, 86_400, 5 * 86_400])
def test_a_month_that_was_landed_again_is_counted_once(seconds: int, ids: bool) -> None:
    rows = month()
    city = cleaned(rows, again(rows, seconds, ids))
    # The last days of the shift are days of no original.
    assert city.alerts.num_rows == len(rows)
    assert set(city.rejected["reason"].to_pylist()) <= {"landed_twice"}
    if abs(seconds) < 10:
        assert set(city.rejected["received_from"].to_pylist()) <= {"other.csv"}


def test_the_rows_that_came_first_are_kept_whatever_the_name() -> None:
    rows = month()
    assert set(cleaned(rows, again(rows, name="a.csv")).rejected["received_from"].to_pylist()) == {"a.csv"}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(time_utc=rows["time_utc"].dt.floor("min")),
        lambda rows: rows.assign(time_utc=rows["time_utc"].dt.round("min")),
        lambda rows: rows.assign(longitude=rows["longitude"].round(4), latitude=rows["latitude"].round(4)),
        lambda rows: rows.assign(
            longitude=np.trunc(rows["longitude"] * 1000) / 1000, latitude=np.trunc(rows["latitude"] * 1000) / 1000
        ),
        lambda rows: rows.assign(gunshot_type=None, rounds=None),
        lambda rows: rows.sample(frac=1.0, random_state=0),
    ],
    ids=["cut to minutes", "rounded to minutes", "rounded points", "cut points", "no types", "another order"],
)
def test_a_copy_written_less_exactly_is_still_one(change: Any) -> None:
    rows = month()
    assert alerts_of(rows, change(again(rows, ids=False))) <= len(rows) + 2


def test_new_alerts_in_the_copy_are_kept() -> None:
    rows = month()
    first_half = rows[: len(rows) // 2]
    assert alerts_of(first_half, again(rows, ids=False)) == len(rows)


def test_three_copies_and_a_copy_of_many_small_files_are_counted_once() -> None:
    rows = month()
    assert alerts_of(rows, again(rows, 1), again(rows, 2, name="third.csv"), again(rows, 2, name="fourth.csv")) == len(
        rows
    )
    single = rows.assign(received_from=[f"{at}.json" for at in range(len(rows))])
    assert alerts_of(single, again(rows)) == len(rows)


def test_a_thin_city_is_judged_by_its_week() -> None:
    rows = month(per_day=1.5)
    assert len(rows) <= alerts_of(rows, again(rows)) <= len(rows) + 8


def test_a_day_has_the_same_outcome_whatever_days_are_cleaned_with_it() -> None:
    rows = month()
    raw = raw_of(rows, again(rows, 18_000))
    whole = clean_alerts(raw, MONTH, CITY)
    for day in MONTH[10:14]:
        near = raw.filter(pa.compute.greater_equal(raw["date"], pa.scalar(day - timedelta(days=7))))
        alone = clean_alerts(near, [day], CITY)[day]
        assert alone.alerts.equals(whole[day].alerts)
        assert alone.rejected.equals(whole[day].rejected)


def test_copies_are_no_reason_to_refuse_a_run() -> None:
    rows = month()
    raw = raw_of(rows, *(again(rows, at, name=f"{at}.csv") for at in (1, 2, 3)))
    refuse_mostly_rejected(CITY, list(clean_alerts(raw, MONTH, CITY).values()), lambda: 0)


def test_what_is_near_by_nature_is_kept() -> None:
    rows = month()
    # A burst at one point, as two districts' files tell it, and two alerts that another file has too.
    at = pd.Timestamp("2024-03-09 03:00Z") + pd.to_timedelta(np.arange(40), "s")
    burst = rows[:40].assign(time_utc=at, longitude=-76.9, latitude=38.9, source_id=[f"b{n}" for n in range(40)])
    halves = [burst[half::2].assign(received_from=f"half {half}.csv") for half in (0, 1)]
    assert alerts_of(rows, *halves) == len(rows) + 40
    overlap = again(rows[:2])
    elsewhere = month(seed=7).assign(received_from="north.csv")
    assert alerts_of(rows, overlap, elsewhere) == len(rows) + 2 + len(elsewhere)


@pytest.mark.parametrize("split", ["by day", "by UTC day", "by quarter of a day", "in two at random", "in turns"])
@pytest.mark.parametrize("name", of_real_cities("washington_dc"))
def test_real_alerts_in_several_files_are_all_kept(name: str, split: str, real_data: Path) -> None:
    city = cities()[name]
    real = load(city, real_data)
    rows = real.raw.to_pandas()
    file = {
        "by day": rows["date"].astype(str),
        "by UTC day": rows["time_utc"].dt.date.astype(str),
        "by quarter of a day": rows["time_utc"].dt.floor("6h").astype(str),
        "in two at random": pd.Series(np.random.default_rng(0).integers(0, 2, len(rows)).astype(str)),
        "in turns": pd.Series((np.arange(len(rows)) % 2).astype(str)),
    }[split]
    raw = pa.Table.from_pandas(rows.assign(received_from=file), RAW_SCHEMA, preserve_index=False)
    assert of_raw(city, raw).alerts.num_rows == real.alerts.num_rows
