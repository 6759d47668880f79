"""Each check on made-up alerts: it stays quiet on sound ones and finds what was spoiled."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.alerts import alert_findings
from shotspotter_assets.quality.clock import GUNFIRE_HOURS
from shotspotter_assets.quality.finding import BLOCK_DAYS, CHECKS, Finding, blocks
from shotspotter_assets.quality.pictures import PICTURED_DAYS, day_pictures
from shotspotter_assets.quality.schemas import cleaned_schema, raw_schema, rejected_schema, schema_finding
from shotspotter_assets.quality.usual import late_cities, special_days, usual_volume
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.quality.real_cities import RealCity, of_raw

FIRST, LAST = date(2023, 1, 1), date(2024, 12, 31)
CITY = City.model_validate(
    {
        "name": "sound_city",
        "time_zone": "America/New_York",
        "start": FIRST,
        "box": {"west": -77.0, "south": 38.8, "east": -76.8, "north": 39.0},
        "source": {"kind": "landing", "columns": {"time": "at", "gunshot_type": "kind", "source_id": "id"}},
    }
)


def sound(per_day: float = 12.0, seed: int = 0) -> pd.DataFrame:
    """Two years of alerts: bursty days, the hours of gunfire, a few dense places."""
    random = np.random.default_rng(seed)
    days = days_between(FIRST, LAST)
    counts = random.poisson(random.gamma(8, per_day / 8, len(days)))
    day = np.repeat(np.array(days, dtype="datetime64[D]"), counts)
    hour = random.choice(24, len(day), p=GUNFIRE_HOURS / GUNFIRE_HOURS.sum())
    wall = pd.Series(day.astype("datetime64[us]")) + pd.to_timedelta(
        hour * 3600 + random.uniform(0, 3600, len(day)), "s"
    )
    utc = wall.dt.tz_localize(CITY.zone, ambiguous=np.ones(len(day), dtype=bool), nonexistent="shift_forward")
    centre = random.integers(0, 12, len(day))
    return pd.DataFrame(
        {
            "time_utc": utc.dt.tz_convert("UTC").astype("datetime64[us, UTC]"),
            "longitude": np.clip(-76.9 + 0.05 * np.cos(centre) + random.normal(0, 0.008, len(day)), -77, -76.8),
            "latitude": np.clip(38.9 + 0.05 * np.sin(centre) + random.normal(0, 0.008, len(day)), 38.8, 39),
            "gunshot_type": "Multiple_Gunshots",
            "source_id": [f"a{at}" for at in range(len(day))],
        }
    ).sort_values("time_utc", ignore_index=True)


def city_of(rows: pd.DataFrame, city: City = CITY) -> RealCity:
    """The rows as a source would hand them over, cleaned."""
    rows = rows.reset_index(drop=True)
    local = rows["time_utc"].dt.tz_convert(city.zone).dt.date
    whole = pd.DataFrame(
        {
            "date": local.where(local.between(city.start, LAST), city.start),
            **{name: rows[name] for name in rows},
            "rounds": pd.array([1] * len(rows), "Int32"),
            "as_received": None,
            "received_from": "file",
            "received_row": np.arange(len(rows)),
            "received_at": datetime(2025, 1, 1, tzinfo=UTC),
        }
    )
    return of_raw(city, pa.Table.from_pandas(whole[RAW_SCHEMA.names], RAW_SCHEMA, preserve_index=False))


def firing(rows: pd.DataFrame, city: City = CITY, days: list[date] | None = None) -> dict[str, Finding]:
    return {found.check: found for found in alert_findings(city_of(rows, city).window(days)) if not found.passed}


def local_day(rows: pd.DataFrame) -> "pd.Series[date]":
    return rows["time_utc"].dt.tz_convert(CITY.zone).dt.date


def test_sound_data_raise_nothing() -> None:
    for seed, per_day in ((1, 12.0), (2, 1.0), (3, 60.0)):
        rows = sound(per_day, seed)
        assert firing(rows) == {}
        for day in (date(2024, 3, 9), date(2024, 7, 4), date(2024, 12, 31)):
            assert firing(rows, days=[day]) == {}
    names = [finding.check for finding in alert_findings(city_of(rows).window())]
    assert names == list(CHECKS)


def spoil(rows: pd.DataFrame, check: str) -> tuple[pd.DataFrame, str]:
    """Spoiled rows, and what the message must say."""
    day, march = local_day(rows), date(2024, 3, 1)
    later = day >= march
    if check == "share_rejected":
        return rows.assign(
            longitude=rows["longitude"].where(np.arange(len(rows)) % 20 > 0, 5.0)
        ), "cannot be used (5.0%"
    if check == "share_untyped":
        return rows.assign(gunshot_type=rows["gunshot_type"].where(np.arange(len(rows)) % 10 > 0, None)), "(10.0%"
    if check == "duplicates":
        return pd.concat([rows, rows[::20]]), "came twice"
    if check == "unusual_days":
        burst = rows[:150].assign(
            time_utc=pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(np.arange(150) * 20, "s"),
            source_id=[f"b{at}" for at in range(150)],
        )
        return pd.concat([rows, burst]), "2024-03-09 (1"
    if check == "silent_days":
        return rows[(day < march) | (day > date(2024, 3, 20))], "2024-03-01 to 2024-03-20 (20 days)"
    if check == "firework_days":
        many = pd.concat([rows[day == date(2024, 7, 4)]] * 200)
        offset = pd.to_timedelta(np.arange(len(many)) % 3600, "s")
        return pd.concat([rows, many.assign(time_utc=many["time_utc"] + offset, source_id=None)]), "July 2024"
    if check == "level_change":
        return rows[later | (np.arange(len(rows)) % 5 == 0)], "the quarter to 2024-12-31"
    if check == "new_area":
        return rows[later | (rows["longitude"] < -76.9)], "cells without one in the year before"
    if check == "points":
        at = np.arange(len(rows)) % 15 == 0
        return rows.assign(
            longitude=rows["longitude"].mask(at, -76.85), latitude=rows["latitude"].mask(at, 38.85)
        ), "38.850000, -76.850000"
    rows = rows[day < LAST]
    return rows.assign(time_utc=rows["time_utc"] + pd.Timedelta(hours=5)), "5 hours too late"


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "share_outside_coverage"])
def test_what_was_spoiled_is_found_and_named(check: str) -> None:
    rows, says = spoil(sound(seed=4), check)
    found = firing(rows)
    assert check in found
    assert says in found[check].message
    assert found[check].message.count(". ") >= 1 or ";" in found[check].message
    # A level that jumps makes its first days unusual, and so does a new area.
    also = {"level_change", "unusual_days"} if check in {"new_area", "level_change"} else set()
    assert set(found) <= {check} | also


def test_a_police_city_with_its_peak_in_the_morning_is_found() -> None:
    city = City.model_validate(CITY.model_dump() | {"event_types": {"robbery": ["Multiple_Gunshots"]}})
    rows = sound(seed=5)
    assert firing(rows, city) == {}
    assert "local time" in firing(rows.assign(time_utc=rows["time_utc"] + pd.Timedelta(hours=8)), city)["clock"].message


def test_filled_in_times_are_found() -> None:
    rows = sound(seed=6)
    at = np.arange(len(rows)) % 8 == 0
    noon = rows["time_utc"].dt.tz_convert(CITY.zone).dt.normalize() + pd.Timedelta(hours=12)
    rows["time_utc"] = rows["time_utc"].mask(at, noon.dt.tz_convert("UTC"))
    assert "exactly 12:00" in firing(rows)["clock"].message


def test_holidays_are_expected_to_be_unusual() -> None:
    days = days_between(FIRST, LAST)
    counts = dict.fromkeys(days, 10)
    special = special_days(days, "US")
    named = {day for day, holiday in zip(days, special, strict=True) if holiday}
    assert {date(2024, 7, 4), date(2024, 1, 1), date(2024, 11, 28), date(2024, 7, 6)} <= named
    assert date(2024, 3, 9) not in named
    assert np.nanmax(usual_volume(counts, days, CITY).mean) == pytest.approx(10)


def test_late_cities_are_named() -> None:
    days = days_between(date(2024, 1, 1), date(2024, 12, 31))
    busy = usual_volume(dict.fromkeys(days, 10), days, CITY)
    thin = usual_volume({day: day.toordinal() % 5 // 4 for day in days}, days, CITY)
    yesterday = days[-1] + timedelta(days=6)
    found = late_cities({"busy": busy, "thin": thin, "none": None}, dict.fromkeys(("busy", "thin", "none"), yesterday))
    assert not found.passed
    assert found.numbers == {"days_late_busy": 6}
    assert "busy (6 days" in found.message
    later = days[-1] + timedelta(days=400)
    ended = late_cities({"busy": busy}, {"busy": later})
    assert ended.passed
    assert "Ended more than a year ago: busy" in ended.message
    assert late_cities({"busy": busy}, {"busy": days[-1]}).passed


@pytest.mark.parametrize("days_of_history", [31, 45, 60, 75, 100])
def test_a_young_city_that_falls_silent_is_late(days_of_history: int) -> None:
    days = days_between(date(2024, 1, 8), date(2024, 1, 7) + timedelta(days=days_of_history))
    young = usual_volume(dict.fromkeys(days, 10), days, CITY)
    assert not late_cities({"young": young}, {"young": days[-1] + timedelta(days=30)}).passed


def test_schemas_name_rule_and_day() -> None:
    city = city_of(pd.concat([sound(seed=7)[:300], sound(seed=7)[:2].assign(longitude=5.0)]))
    assert schema_finding("raw_schema", raw_schema(), city.raw, "raw_alerts").passed
    assert schema_finding("rejected_schema", rejected_schema(), city.rejected, "cleaned_alerts").passed
    cleaned = cleaned_schema(CITY)
    assert schema_finding("cleaned_schema", cleaned, city.alerts, "cleaned_alerts").passed
    assert schema_finding("cleaned_schema", cleaned, city.alerts[:0], "cleaned_alerts").passed
    at = city.alerts.schema.get_field_index
    for name, values in {
        "longitude": np.r_[5.0, city.alerts["longitude"].to_numpy()[1:]],
        "user_id": city.alerts["user_id"].to_numpy() + 1,
        "gunshot_type": np.full(city.alerts.num_rows, 9, dtype=np.int8),
    }.items():
        broken = city.alerts.set_column(at(name), city.alerts.schema.field(name), pa.array(values))
        found = schema_finding("cleaned_schema", cleaned, broken, "cleaned_alerts")
        assert not found.passed
        assert name in found.message
        assert "materialise cleaned_alerts again for 2023-01-01" in found.message
    twice = pa.concat_tables([city.raw, city.raw[:1]])
    assert not schema_finding("raw_schema", raw_schema(), twice, "raw_alerts").passed


def test_blocks_are_years_back_from_the_end() -> None:
    known = days_between(FIRST, LAST)
    assert blocks(known, known) == [(date(2023, 1, 1), date(2024, 1, 1)), (date(2024, 1, 2), LAST)]
    assert blocks(known, known[-1:]) == [(LAST - timedelta(days=BLOCK_DAYS - 1), LAST)]
    assert blocks(known[-10:], known[-1:]) == [(known[-10], LAST)]


def test_only_the_last_days_get_a_picture() -> None:
    city = city_of(sound(2.0))
    pictures = day_pictures(city.alerts, city.days[:60], CITY)
    assert list(pictures) == city.days[60 - PICTURED_DAYS : 60]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert len(set(pictures.values())) == PICTURED_DAYS
