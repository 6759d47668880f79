import re
from datetime import date

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


def test_a_source_that_goes_over_to_utc_is_found_within_two_hundred_alerts() -> None:
    rows = sound(seed=7)
    local = rows["time_utc"].dt.tz_convert(CITY.zone)
    switch = pd.Timestamp("2024-11-10", tz=CITY.zone)
    after = local >= switch
    # UTC that is taken for the city's clock.
    late = (
        rows["time_utc"]
        .dt.tz_localize(None)
        .dt.tz_localize(CITY.zone, ambiguous="NaT", nonexistent="NaT")
        .dt.tz_convert("UTC")
    )
    rows["time_utc"] = rows["time_utc"].mask(after, late)
    rows = rows[rows["time_utc"].notna()]
    day = local[after].iloc[200].date()
    message = firing(rows, days=[day])["clock"].message
    assert re.search("about [45] hours too late against those before", message)
    assert firing(rows, days=[date(2024, 11, 9)]) == {}
