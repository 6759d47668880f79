"""Writes the invented calls of the simulated city: `python benchmarks/simulated_outcomes.py [FILE]`.

Nine of ten alerts from April to June 2025 have a call of the sensor, four of five of them with the alert's id. A third of the
alerts also have calls of persons. The shares of outcomes are near those that New York's Comptroller counted in June 2023 (13%
confirmed, 5% unfounded, 82% unconfirmed); a few calls are pending. Nothing in them depends on a place or on a forecast.
"""

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from shotspotter_assets.city_files import PACKAGE_CITIES, load_city

FIRST = date(2025, 4, 1)
LAST = date(2025, 6, 30)
FILE = PACKAGE_CITIES / "simulated_city" / "outcomes" / "calls.parquet"
CODES = {"REPORT": 0.13, "UNFOUNDED": 0.05, "GONE": 0.77, "PENDING": 0.05}
DEGREES = 0.001  # about 100 m


def calls() -> pd.DataFrame:
    """The calls in the order of their receipt."""
    city = load_city(PACKAGE_CITIES / "simulated_city.yaml")
    alerts = city.source.open(city.site, None).read(FIRST, LAST).to_pandas()
    random = np.random.default_rng(7)
    of_sensors = alerts[random.random(len(alerts)) < 0.9].assign(origin="sensor", alert=alerts["source_id"])
    of_sensors.loc[random.random(len(of_sensors)) < 0.2, "alert"] = None
    of_persons = alerts[random.random(len(alerts)) < 1 / 3].assign(origin="telephone", alert=None)
    frame = pd.concat([of_sensors, of_persons], ignore_index=True)

    def minutes(shape: float, mean: float) -> pd.Series:
        drawn = random.gamma(shape, mean / shape, len(frame))
        return pd.Series(pd.to_timedelta(drawn, unit="min"), frame.index).dt.floor("s")

    def moved(degrees: pd.Series, lowest: float, highest: float) -> pd.Series:
        return (degrees + random.normal(0, DEGREES, len(frame))).round(5).clip(lowest, highest)

    received = frame["time_utc"].dt.floor("s") + minutes(2.0, 1.5)
    dispatched = received + minutes(2.0, 3.0)
    arrived = dispatched + minutes(3.0, 6.0)
    code = random.choice(list(CODES), len(frame), p=list(CODES.values()))
    stay = np.where(code == "REPORT", 2.5, 1.0) * minutes(2.0, 22.0)
    cleared = (arrived + pd.Series(stay)).where(code != "PENDING")
    found = pd.DataFrame(
        {
            "received": received,
            "longitude": moved(frame["longitude"], city.box.west, city.box.east),
            "latitude": moved(frame["latitude"], city.box.south, city.box.north),
            "alert": frame["alert"],
            "origin": frame["origin"],
            "code": code,
            "dispatched": dispatched,
            "arrived": arrived,
            "cleared": cleared.dt.floor("s"),
        }
    ).sort_values("received", ignore_index=True)
    found.insert(0, "number", [f"S{number:05d}" for number in range(len(found))])
    return found


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    path.parent.mkdir(exist_ok=True)
    calls().to_parquet(path, index=False, compression="zstd")
    print(f"{path}: {len(calls()):,} calls, {path.stat().st_size:,} bytes")
