"""What the check says of alerts that came in two files, and that it is quiet about real ones."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.quality.landed_twice import landed_twice
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.quality.real_cities import cities, load, of_raw, of_real_cities
from shotspotter_assets_tests.quality.sound_city import city_of, firing, local_day, sound

MARCH = (date(2024, 3, 1), date(2024, 3, 31))


def march(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[local_day(rows).between(*MARCH)]


def test_copies_that_were_left_out_are_told_and_do_not_count_as_rejected() -> None:
    rows = sound(seed=3)
    copied = march(rows)
    copied = copied.assign(time_utc=copied["time_utc"] + pd.Timedelta(seconds=1), received_from="march again.csv")
    found = firing(pd.concat([rows, copied]))
    assert set(found) == {"landed_twice"}
    assert f"{len(copied):,} of march again.csv" in found["landed_twice"].message
    assert MARCH[0] in found["landed_twice"].days
    assert "landed_twice" not in firing(pd.concat([rows, copied]), days=[date(2024, 5, 1)])
    assert "left out" in firing(pd.concat([rows, copied]), days=[date(2024, 3, 9)])["landed_twice"].message


def test_alerts_that_moved_to_another_day_with_their_identifier_are_found() -> None:
    rows = sound(seed=3)
    moved = march(rows).sample(64, random_state=0)
    hours = np.random.default_rng(0).integers(24, 24 * 9, 64)
    moved = moved.assign(time_utc=moved["time_utc"] + pd.to_timedelta(hours, "h"), received_from="corrected.csv")
    message = firing(pd.concat([rows, moved]))["landed_twice"].message
    assert "the identifier and the point of an alert of another day" in message


def test_counters_that_start_again_every_day_are_no_moved_alerts() -> None:
    rows = sound(seed=3)
    number = rows.groupby(local_day(rows)).cumcount().astype(str)
    at = np.arange(len(rows)) % 9 == 0
    hot = rows.assign(longitude=rows["longitude"].mask(at, -76.9), latitude=rows["latitude"].mask(at, 38.9))
    assert landed_twice(city_of(hot.assign(source_id=number)).window()).passed


@pytest.mark.parametrize("split", ["by day", "by month", "a file an alert"])
@pytest.mark.parametrize("name", of_real_cities("washington_dc"))
def test_real_alerts_in_several_files_are_nothing_odd(name: str, split: str, real_data: Path) -> None:
    city = cities()[name]
    rows = load(city, real_data).raw.to_pandas()
    day = rows["date"].astype(str)
    file = {"by day": day, "by month": day.str[:7], "a file an alert": pd.Series(np.arange(len(rows)).astype(str))}[
        split
    ]
    numbers = rows.groupby("date").cumcount().astype(str)
    raw = pa.Table.from_pandas(rows.assign(received_from=file, source_id=numbers), RAW_SCHEMA, preserve_index=False)
    real = of_raw(city, raw)
    finding = landed_twice(real.window())
    # A bounded number of days, or the false alarms of single days would add up unseen.
    late = [landed_twice(real.window([day])) for day in real.days[400 :: max(len(real.days) // 12, 1)]]
    assert finding.passed, finding.message
    assert all(finding.passed for finding in late), [finding.message for finding in late if not finding.passed]
