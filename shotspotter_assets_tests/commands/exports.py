"""Made-up exports of a vendor: shots of two years around one place, mostly at night."""

from pathlib import Path

import numpy as np
import pandas as pd

from shotspotter_assets.alerts.checks.usual import GUNFIRE_SHARES

LONGITUDE = -72.58
LATITUDE = 42.11


def export(rows: int = 400, days: int = 600) -> pd.DataFrame:
    """Rows with times of the wall clock, points within some kilometres, types, rounds and ids."""
    random = np.random.default_rng(7)
    day = np.datetime64("2024-01-15") + np.sort(random.integers(0, days, rows)).astype("timedelta64[D]")
    seconds = random.choice(24, rows, p=GUNFIRE_SHARES) * 3600 + random.integers(0, 3600, rows)
    offsets = random.normal(0, 0.015, (2, rows)).clip(-0.04, 0.04)
    return pd.DataFrame(
        {
            "Flex ID": [f"{number:06}" for number in range(rows)],
            "Incident Date/Time": pd.Series(day + seconds.astype("timedelta64[s]")).dt.strftime("%m/%d/%Y %I:%M:%S %p"),
            "Rounds": random.integers(1, 9, rows),
            "Type": random.choice(["Single Gunshot", "Multiple Gunshots", "Probable Gunfire"], rows),
            "Latitude": (LATITUDE + offsets[0]).round(6),
            "Longitude": (LONGITUDE + offsets[1]).round(6),
            "Beat": random.choice(["B1", "C2"], rows),
        }
    )


def moments(table: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """The times of an export."""
    return pd.to_datetime(table["Incident Date/Time"], format="%m/%d/%Y %I:%M:%S %p")


def write(table: pd.DataFrame, folder: Path, name: str = "alerts.csv", **options: str) -> Path:
    """Write a CSV file."""
    file = folder / name
    table.to_csv(file, index=False, **options)  # type: ignore[call-overload]  # pandas types each option
    return file
