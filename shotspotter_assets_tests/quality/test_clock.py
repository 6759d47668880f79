import numpy as np
import pandas as pd

from shotspotter_assets.cities.city import City
from shotspotter_assets_tests.quality.sound_city import CITY, firing, sound


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
