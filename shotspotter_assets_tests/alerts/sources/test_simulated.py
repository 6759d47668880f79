from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.alerts.sources import simulated as simulation
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.alerts.sources.simulated_background import FIREWORKS, HOUR, SENSOR_SHARE
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import cells_at
from shotspotter_assets_tests.made_up_city import made_up_city

START = date(2015, 1, 1)
DRAWS = 400_000
YEARS = date(2016, 1, 1), date(2018, 12, 31)


def make_city(per_day: float = 20.0, zone: str = "America/New_York", start: date = START) -> City:
    width = 24 * 0.002885  # 500 m cells
    height = 24 * 0.002246
    box = (-77.0 - width, 38.9 - height, -77.0 + width, 38.9 + height)
    source = {"kind": "simulated", "seed": 5, "alerts_per_day": per_day}
    return made_up_city("simulated_city", box, (24, 24), time_zone=zone, start=start, source=source)


def opened(city: City) -> simulation.SimulatedSource:
    reader: simulation.SimulatedSource = city.source.open(city.site, None)
    return reader


@cache
def source() -> simulation.SimulatedSource:
    return opened(make_city())


@cache
def three_years() -> pa.Table:
    return source().read(*YEARS)


def cells_of(city: City, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return cells_at(city, table["longitude"].to_numpy(), table["latitude"].to_numpy())


@settings(max_examples=12, deadline=None)
@given(first=st.integers(0, 1095), days=st.integers(1, 60))
def test_a_day_is_the_same_whatever_range_is_asked_for(first: int, days: int) -> None:
    begin = YEARS[0] + timedelta(first)
    end = min(begin + timedelta(days - 1), YEARS[1])
    dates = three_years()["date"]
    whole = three_years().filter(pc.and_(pc.greater_equal(dates, begin), pc.less_equal(dates, end)))
    assert source().read(begin, end).equals(whole)


def test_rows_conform_and_are_in_order() -> None:
    table = three_years()
    assert table.schema.equals(RAW_SCHEMA)
    table.validate(full=True)
    time = table["time_utc"].cast(pa.int64()).to_numpy()
    assert (np.diff(time) >= 0).all()
    day = table["date"].to_numpy()
    begins = np.flatnonzero(np.r_[True, day[1:] != day[:-1]])
    expected = np.arange(len(day)) - np.repeat(begins, np.diff(np.r_[begins, len(day)]))
    assert (table["received_row"].to_numpy() == expected).all()
    assert pc.count_distinct(table["source_id"]).as_py() == len(table)
    assert table["received_from"].unique().to_pylist() == ["simulated city"]
    one, many, unsure = (table.filter(pc.equal(table["gunshot_type"], name))["rounds"] for name in simulation.TYPES[:3])
    assert len(many) > len(one) > len(unsure) > 0
    assert 0 < table["gunshot_type"].null_count / len(table) < 0.05
    assert set(one.drop_null().to_pylist()) == {1}
    assert pc.min(many).as_py() == 2
    assert unsure.null_count == len(unsure)


def test_no_alert_is_outside_the_box_or_without_a_sensor() -> None:
    city = make_city()
    table = three_years()
    heard = np.zeros((24, 24), dtype=bool)
    assert city.box.holds(table["longitude"].to_numpy(), table["latitude"].to_numpy()).all()
    heard[cells_of(city, table)] = True
    assert heard.mean() == pytest.approx(SENSOR_SHARE, abs=0.01)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2018, 3, 11), 23.0),
        ("America/New_York", date(2018, 11, 4), 25.0),
        ("America/Sao_Paulo", date(2018, 11, 4), 23.0),  # the clock skips midnight itself
        ("Australia/Lord_Howe", date(2018, 4, 1), 24.5),
        ("America/St_Johns", date(2018, 4, 1), 24.0),
    ],
)
def test_days_follow_the_local_clock(zone: str, day: date, hours: float) -> None:
    city = make_city(per_day=5000, zone=zone)
    table = opened(city).read(day - timedelta(1), day + timedelta(1))
    times = table["time_utc"].to_pylist()
    assert [time.astimezone(ZoneInfo(zone)).date() for time in times] == table["date"].to_pylist()
    on_day = table.filter(pc.equal(table["date"], day))
    # With thousands of alerts the first and the last come within minutes of the day's ends.
    span = pc.max(on_day["time_utc"]).as_py() - pc.min(on_day["time_utc"]).as_py()
    assert timedelta(hours=hours - 0.1) < span < timedelta(hours=hours)
    end = on_day["received_at"].unique().to_pylist()
    assert len(end) == 1
    assert end[0].astimezone(ZoneInfo(zone)).replace(tzinfo=None) == datetime(day.year, day.month, day.day + 1)


def test_the_rate_and_the_rhythm_are_those_that_were_set() -> None:
    table = three_years()
    assert len(table) / 1096 == pytest.approx(20, rel=0.05)
    days = np.unique(table["date"].to_numpy(), return_counts=True)
    by_date = dict(zip([day.astype(object) for day in days[0]], days[1], strict=True))
    ordinary = {day: number for day, number in by_date.items() if (day.month, day.day) not in FIREWORKS}
    weekend = np.mean([number for day, number in ordinary.items() if day.weekday() >= 5])
    week = np.mean([number for day, number in ordinary.items() if day.weekday() < 4])
    assert weekend > week
    for year in (2016, 2017, 2018):
        assert by_date[date(year, 7, 4)] > 3 * np.mean(list(ordinary.values()))
        assert by_date[date(year, 1, 1)] > 2 * np.mean(list(ordinary.values()))
    summer = np.mean([number for day, number in ordinary.items() if day.month in (6, 7, 8)])
    winter = np.mean([number for day, number in ordinary.items() if day.month in (12, 1, 2)])
    assert summer > winter
    zone = ZoneInfo("America/New_York")
    hours = np.bincount([time.astimezone(zone).hour for time in table["time_utc"].to_pylist()], minlength=24)
    assert hours[[22, 23, 0, 1]].sum() > hours[[8, 9, 10, 11]].sum()
    fourth = table.filter(pc.equal(table["date"], date(2017, 7, 4)))
    assert pc.mean(pc.fill_null(pc.equal(fourth["gunshot_type"], simulation.TYPES[2]), False)).as_py() > 0.35


def test_reports_start_on_the_first_day_without_a_ramp() -> None:
    start = date(2017, 5, 1)
    late = opened(make_city(start=start))
    table = late.read(start - timedelta(3), start + timedelta(3))
    assert table.equals(source().read(start, start + timedelta(3)))
    assert late.read(date(2017, 1, 1), date(2017, 1, 2)).equals(RAW_SCHEMA.empty_table())


def test_lags_are_exponential_up_to_the_cut() -> None:
    lags = simulation.draw_lags(np.random.default_rng(1), DRAWS)
    assert 0 <= lags.min() <= lags.max() < simulation.MAX_LAG
    for hours in (1, 5, 12, 24, 40):
        share = -np.expm1(-hours * HOUR / simulation.MEAN_LAG) / simulation.LAG_REACH
        assert (lags < hours * HOUR).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / DRAWS))


def test_the_true_risk_is_calibrated_and_uses_the_days_before() -> None:
    city = make_city()
    first = date(2016, 1, 2)
    last = date(2016, 12, 30)
    risk = source().true_risk(first, last)
    table = source().read(first, last)
    day = (table["date"].to_numpy().astype("datetime64[D]") - np.datetime64(first)).astype(int)
    observed = np.zeros(risk.shape, bool)
    observed[day, *cells_of(city, table)] = True
    for low, high in ((0.005, 0.05), (0.05, 0.3), (0.3, 1.0)):
        among = (risk >= low) & (risk < high)
        error = np.sqrt((risk[among] * (1 - risk[among])).sum())
        assert abs(observed[among].sum() - risk[among].sum()) < 3 * error
    eve = observed[:-1] & (risk[:-1] < 0.2)
    assert risk[1:][eve].mean() > 1.5 * risk[:-1][eve].mean()
    assert (risk.max(axis=0) > 0).mean() == pytest.approx(SENSOR_SHARE, abs=0.01)
