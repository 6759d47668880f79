"""Made-up alerts without a defect, and the findings of the checks."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.alerts.checks.all_checks import ALL_CHECKS
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.checks.usual import GUNFIRE_HOURS
from shotspotter_assets.alerts.checks.window import Window
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets_tests.alerts.checks.real_cities import RealCity, of_raw
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST = date(2023, 1, 1)
LAST = date(2024, 12, 31)
SOURCE = {"kind": "landing", "columns": {"time": "at", "gunshot_type": "kind", "source_id": "id"}}
CITY = made_up_city("sound_city", (-77.0, 38.8, -76.8, 39.0), start=FIRST, source=SOURCE)


def sound(per_day: float = 12.0, seed: int = 0) -> pd.DataFrame:
    """Two years of alerts: bursty days, the hours of gunfire, a few dense places."""
    random = np.random.default_rng(seed)
    days = days_between(FIRST, LAST)
    counts = random.poisson(random.gamma(8, per_day / 8, len(days)))
    day = np.repeat(np.array(days, dtype="datetime64[D]"), counts)
    hour = random.choice(24, len(day), p=GUNFIRE_HOURS / GUNFIRE_HOURS.sum())
    seconds = hour * 3600 + random.uniform(0, 3600, len(day))
    wall = pd.Series(day.astype("datetime64[us]")) + pd.to_timedelta(seconds, "s")
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
    """The rows as a source would hand them over, cleaned; of one file, or of those in their `received_from`."""
    rows = rows.reset_index(drop=True)
    local = rows["time_utc"].dt.tz_convert(city.zone).dt.date
    whole = pd.DataFrame(
        {
            "date": local.where(local.between(city.start, LAST), city.start),
            **{name: rows[name] for name in rows},
            "rounds": rows["rounds"].astype("Int32") if "rounds" in rows else pd.array([2] * len(rows), "Int32"),
            "as_received": None,
            "is_separate": rows.get("is_separate"),
            "received_from": rows["received_from"].fillna("file") if "received_from" in rows else "file",
            "received_row": np.arange(len(rows)),
            "received_at": datetime(2025, 1, 1, tzinfo=UTC),
        }
    )
    return of_raw(city, pa.Table.from_pandas(whole[RAW_SCHEMA.names], RAW_SCHEMA, preserve_index=False))


def findings(window: Window) -> dict[str, Finding]:
    return {name: check(window) for name, check in ALL_CHECKS.items()}


def firing(rows: pd.DataFrame, city: City = CITY, days: list[date] | None = None) -> dict[str, Finding]:
    found = findings(city_of(rows, city).window(days))
    return {name: finding for name, finding in found.items() if not finding.passed}


def local_day(rows: pd.DataFrame) -> "pd.Series[date]":
    return rows["time_utc"].dt.tz_convert(CITY.zone).dt.date
