from datetime import date

import numpy as np
import pandas as pd

from shotspotter_assets_tests.quality.sound_city import firing, local_day, sound


def test_a_burst_is_an_unusual_day() -> None:
    rows, at = sound(seed=4), np.arange(150)
    times = pd.Timestamp("2024-03-09 20:00Z") + pd.to_timedelta(at * 20, "s")
    burst = rows[:150].assign(time_utc=times, source_id=[f"b{number}" for number in at])
    found = firing(pd.concat([rows, burst]))
    assert set(found) == {"unusual_days"}
    assert "2024-03-09 (1" in found["unusual_days"].message


def test_all_unusual_days_are_counted() -> None:
    rows = sound(seed=3)
    days = [date(2024, 3, day) for day in (4, 7, 12, 15, 20, 26)]
    burst = rows[local_day(rows).isin(days)]
    more = [burst.assign(time_utc=burst["time_utc"] + pd.Timedelta(seconds=at), source_id=None) for at in range(1, 16)]
    message = firing(pd.concat([rows, *more]))["unusual_days"].message
    assert message.startswith("6 days far from the usual volume: 2024-03-04 (")
    assert "2024-03-20 (" in message
    assert "), and 1 more. Ask the publisher" in message
    assert "2024-03-26" not in message


def test_missing_weeks_are_silent_days() -> None:
    rows = sound(seed=4)
    gaps = [(date(2024, 3, 1), date(2024, 3, 20)), (date(2024, 5, 1), date(2024, 5, 9))]
    for gap in gaps:
        rows = rows[~local_day(rows).between(*gap)]
    found = firing(rows)
    assert set(found) == {"silent_days"}
    expected = "from 2024-03-01 to 2024-03-20 (20 days); from 2024-05-01 to 2024-05-09 (9 days): the usual rate"
    assert expected in found["silent_days"].message


def test_a_loud_independence_day_is_found() -> None:
    rows = sound(seed=4)
    many = pd.concat([rows[local_day(rows) == date(2024, 7, 4)]] * 200)
    offset = pd.to_timedelta(np.arange(len(many)) % 3600, "s")
    found = firing(pd.concat([rows, many.assign(time_utc=many["time_utc"] + offset, source_id=None)]))
    assert set(found) == {"firework_days"}
    assert "July 2024" in found["firework_days"].message
