"""Tests of the simulated city: the same day is the same alerts, and its truth is what repeated simulation shows."""

import math
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.sources.simulated.background import HOUR, Day
from shotspotter_assets.sources.simulated.offspring import MAX_LAG, MEAN_LAG, OFFSPRING, SPREAD_METRES
from shotspotter_assets.sources.simulated.source import TYPES, Alerts, SimulatedSource

START = date(2015, 1, 1)
YEARS = date(2016, 1, 1), date(2018, 12, 31)
FIREWORK_DAYS = {(7, 3), (7, 4), (7, 5), (12, 31), (1, 1)}


def make_city(
    seed: int = 5, per_day: float = 20.0, cells: int = 24, zone: str = "America/New_York", start: date = START
) -> City:
    return City.model_validate(
        {
            "name": "simulated_city",
            "time_zone": zone,
            "start": start,
            # 500 m cells
            "box": {
                "west": -77.0 - cells * 0.002885,
                "south": 38.9 - cells * 0.002246,
                "east": -77.0 + cells * 0.002885,
                "north": 38.9 + cells * 0.002246,
            },
            "grid": {"rows": cells, "columns": cells},
            "source": {"kind": "simulated", "seed": seed, "alerts_per_day": per_day},
        }
    )


@cache
def source() -> SimulatedSource:
    return SimulatedSource(make_city())


@cache
def three_years() -> pa.Table:
    return source().read(*YEARS)


@cache
def three_years_truth() -> np.ndarray:
    return source().true_probability(*YEARS)


def cells_of(city: City, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    box, (rows, columns) = city.box, city.shape
    row = (table["latitude"].to_numpy() - box.south) / (box.north - box.south) * rows
    column = (table["longitude"].to_numpy() - box.west) / (box.east - box.west) * columns
    return np.floor(row).astype(int), np.floor(column).astype(int)


def counts_of(city: City, table: pa.Table, first: date, last: date) -> np.ndarray:
    counts = np.zeros(((last - first).days + 1, *city.shape), int)
    day = (table["date"].to_numpy() - np.datetime64(first)).astype(int)
    np.add.at(counts, (day, *cells_of(city, table)), 1)
    return counts


def log_loss(occupied: np.ndarray, probability: np.ndarray) -> float:
    return float(-np.where(occupied, np.log(probability), np.log1p(-probability)).mean())


@settings(max_examples=12, deadline=None)
@given(first=st.integers(0, 1095), days=st.integers(1, 60))
def test_a_day_is_the_same_whatever_range_is_asked_for(first: int, days: int) -> None:
    begin = YEARS[0] + timedelta(first)
    end = min(begin + timedelta(days - 1), YEARS[1])
    dates = three_years()["date"]
    whole = three_years().filter(pc.and_(pc.greater_equal(dates, begin), pc.less_equal(dates, end)))
    assert source().read(begin, end).equals(whole)


@pytest.mark.parametrize("last", [date(2018, 3, 20), date(2018, 11, 12), date(2018, 7, 20)])
def test_no_descendant_comes_from_before_the_look_back(last: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each generation as late as can be, and large families: the worst case of how far back a day reaches."""
    monkeypatch.setattr("shotspotter_assets.sources.simulated.source.OFFSPRING", 1.2)
    monkeypatch.setattr(
        "shotspotter_assets.sources.simulated.source.draw_lags", lambda random, number: np.full(number, MAX_LAG - 1.0)
    )
    source = SimulatedSource(make_city(per_day=50))
    # The rate of first alerts was set for OFFSPRING of 1.2: negative, which stands for no rate at all.
    source._background.scale(20.0)
    whole = source.read(last - timedelta(12), last)
    for back in range(13):
        day = last - timedelta(back)
        assert source.read(day, day).equals(whole.filter(pc.equal(whole["date"], day)))


def test_the_truth_about_a_day_is_the_same_whatever_range_is_asked_for() -> None:
    for first, last in [(400, 400), (183, 189), (0, 10)]:
        part = source().true_probability(YEARS[0] + timedelta(first), YEARS[0] + timedelta(last))
        np.testing.assert_array_equal(part, three_years_truth()[first : last + 1])


def test_the_truth_after_a_short_day_knows_all_that_matters() -> None:
    busy = SimulatedSource(make_city(per_day=1000))
    first, last = date(2018, 3, 8), date(2018, 3, 14)  # 11 March has 23 hours
    together = busy.true_probability(first, last)
    for index in range(7):
        day = first + timedelta(index)
        np.testing.assert_array_equal(busy.true_probability(day, day)[0], together[index])


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
    shares = [pc.mean(pc.fill_null(pc.equal(table["gunshot_type"], name), False)).as_py() for name in TYPES[:3]]
    assert shares[1] > shares[0] > shares[2] > 0.05
    assert 0 < table["gunshot_type"].null_count / len(table) < 0.05
    rounds = {
        name: table.filter(pc.equal(table["gunshot_type"], name))["rounds"].drop_null().to_numpy() for name in TYPES[:3]
    }
    assert set(rounds["Single_Gunshot"]) == {1}
    assert rounds["Multiple_Gunshots"].min() == 2
    assert len(rounds["Gunshot_or_Firecracker"]) == 0


def test_no_alert_is_outside_the_box_or_without_a_sensor() -> None:
    row, column = cells_of(make_city(), three_years())
    assert min(row.min(), column.min()) >= 0
    assert max(row.max(), column.max()) < 24
    sensors = source()._background.sensors
    assert sensors.mean() == pytest.approx(0.6, abs=0.01)
    assert sensors[row, column].all()
    assert not three_years_truth()[:, ~sensors].any()
    assert (three_years_truth()[:, sensors] > 0).all()
    assert (three_years_truth() < 1).all()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2018, 3, 11), 23.0),
        ("America/New_York", date(2018, 11, 4), 25.0),
        ("America/Sao_Paulo", date(2018, 11, 4), 23.0),  # the clock skips midnight itself
        ("Australia/Lord_Howe", date(2018, 4, 1), 24.5),
        ("Asia/Kathmandu", date(2018, 4, 1), 24.0),
    ],
)
def test_days_follow_the_local_clock(zone: str, day: date, hours: float) -> None:
    city = make_city(per_day=5000, zone=zone)
    table = SimulatedSource(city).read(day - timedelta(1), day + timedelta(1))
    times = table["time_utc"].to_pylist()
    assert [time.astimezone(ZoneInfo(zone)).date() for time in times] == table["date"].to_pylist()
    on_day = table.filter(pc.equal(table["date"], day))
    # With thousands of alerts the first and the last come within minutes of the day's ends.
    span = pc.max(on_day["time_utc"]).as_py() - pc.min(on_day["time_utc"]).as_py()
    assert timedelta(hours=hours - 0.1) < span < timedelta(hours=hours)
    end = on_day["received_at"].unique().to_pylist()
    assert len(end) == 1
    assert end[0].astimezone(ZoneInfo(zone)).replace(tzinfo=None) == datetime(day.year, day.month, day.day + 1)


def test_a_repeated_hour_has_alerts_both_times_and_a_skipped_one_none() -> None:
    source = SimulatedSource(make_city(per_day=5000))
    repeated = source.read(date(2018, 11, 4), date(2018, 11, 4))["time_utc"].to_pylist()
    hours = [time.hour for time in repeated]
    assert 0.7 < hours.count(6) / hours.count(5) < 1.3  # 01:00 EDT is 05:00 UTC, 01:00 EST is 06:00 UTC
    skipped = source.read(date(2018, 3, 11), date(2018, 3, 11))["time_utc"].to_pylist()
    local = {time.astimezone(ZoneInfo("America/New_York")).hour for time in skipped}
    assert local == set(range(24)) - {2}


def test_the_truth_is_calibrated() -> None:
    sensors = source()._background.sensors
    probability = three_years_truth()[:, sensors]
    occupied = counts_of(make_city(), three_years(), *YEARS)[:, sensors] > 0
    # Given the past, cells of one day depend on each other a little (clusters): 1.3 standard errors for 1.
    error = 1.3 * np.sqrt((probability * (1 - probability)).sum())
    assert abs(occupied.sum() - probability.sum()) < 3.5 * error
    assert probability.mean() == pytest.approx(occupied.mean(), rel=0.025)
    for low, high in [(0, 0.01), (0.01, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 1)]:
        here = (probability >= low) & (probability < high)
        error = 1.3 * np.sqrt((probability * (1 - probability))[here].sum())
        assert abs(occupied[here].sum() - probability[here].sum()) < 3.5 * error + 0.02 * probability[here].sum()

    # Logistic regression of what happened on the logit of the truth: intercept 0, slope 1.
    logit = np.log(probability / (1 - probability)).ravel()
    design = np.column_stack([np.ones_like(logit), logit])
    estimate = np.zeros(2)
    for _ in range(12):
        fitted = 1 / (1 + np.exp(-design @ estimate))
        information = design.T @ (design * (fitted * (1 - fitted))[:, None])
        estimate += np.linalg.solve(information, design.T @ (occupied.ravel() - fitted))
    errors = 1.3 * np.sqrt(np.diag(np.linalg.inv(information)))
    assert (np.abs(estimate - [0, 1]) < 3.5 * errors).all()


def test_the_truth_beats_what_is_near_it() -> None:
    sensors = source()._background.sensors
    probability = three_years_truth()[:, sensors]
    occupied = counts_of(make_city(), three_years(), *YEARS)[:, sensors] > 0
    true_loss = log_loss(occupied, probability)
    odds = probability / (1 - probability)
    for other in (odds * 1.1, odds / 1.1, odds**1.05, odds**0.95, np.roll(odds, 1, axis=0), np.roll(odds, 7, axis=0)):
        assert true_loss < log_loss(occupied, other / (1 + other))
    noise = np.random.default_rng(1).lognormal(0, 0.2, odds.shape)
    assert true_loss < log_loss(occupied, odds * noise / (1 + odds * noise))


def test_the_forecast_problem_is_worth_having() -> None:
    sensors = source()._background.sensors
    counts = counts_of(make_city(), three_years(), *YEARS)[:, sensors]
    occupied = counts > 0
    assert 0.02 < occupied.mean() < 0.045
    assert counts.sum(axis=1).mean() == pytest.approx(20, rel=0.05)
    by_cell = np.sort(counts.sum(axis=0))[::-1]
    assert 0.38 < by_cell[: round(0.05 * len(by_cell))].sum() / by_cell.sum() < 0.58
    past, future = occupied[:731], occupied[731:]
    climatology = (past.sum(axis=0) + 0.5) / (len(past) + 0.5 / past.mean())
    gap = 1 - log_loss(future, three_years_truth()[731:, sensors]) / log_loss(
        future, np.broadcast_to(climatology, future.shape)
    )
    assert 0.06 < gap < 0.16


def test_the_truth_is_what_many_repetitions_of_one_day_show() -> None:
    """The day after a known history, simulated forward 20,000 times by other code."""
    random = np.random.default_rng(7)
    city = make_city(per_day=15, cells=6)
    source = SimulatedSource(city)
    day_date = date(2018, 6, 15)
    (day,) = source._background.days(day_date, day_date)
    height = (city.box.north - city.box.south) * 111_320 / 6
    width = (city.box.east - city.box.west) * 111_320 * np.cos(np.radians(38.9)) / 6
    row, column = random.uniform(0, 6, (2, 40))
    heard = source._background.sensors[row.astype(int), column.astype(int)]
    row, column = row[heard], column[heard]
    time = day.start - random.integers(1, 20 * HOUR, len(row))
    probability = source._oracle.probability(day, time, row, column)

    repetitions = 20_000
    begin = day.beginnings[0]
    run = np.repeat(np.arange(repetitions), len(row))
    points = [np.tile(values, repetitions).astype(float) for values in (time - day.start, row, column)]
    found = np.zeros((repetitions, 6, 6), int)
    number = random.poisson(begin.number, repetitions)
    cell = random.choice(36, number.sum(), p=begin.cells)
    hour = random.choice(24, number.sum(), p=begin.hours)
    first = [(hour + random.random(len(hour))) * HOUR, cell // 6 + random.random(len(cell))]
    first.append(cell % 6 + random.random(len(cell)))
    np.add.at(found, (np.repeat(np.arange(repetitions), number), cell // 6, cell % 6), 1)
    run = np.r_[run, np.repeat(np.arange(repetitions), number)]
    points = [np.r_[old, new] for old, new in zip(points, first, strict=True)]
    # Offspring beyond the cuts are thrown away below, and are no part of OFFSPRING.
    with_thrown_away = OFFSPRING / (1 - np.exp(-MAX_LAG / MEAN_LAG)) / math.erf(3 / math.sqrt(2)) ** 2
    while len(run):
        parent = np.repeat(np.arange(len(run)), random.poisson(with_thrown_away, len(run)))
        run = run[parent]
        lag = random.exponential(MEAN_LAG, len(parent))
        steps = random.normal(0, SPREAD_METRES, (2, len(parent)))
        points = [points[0][parent] + lag, points[1][parent] + steps[0] / height, points[2][parent] + steps[1] / width]
        kept = (lag < MAX_LAG) & (np.abs(steps) < 3 * SPREAD_METRES).all(axis=0)
        kept &= (points[0] >= 0) & (points[0] < day.end - day.start)
        kept &= (points[1] >= 0) & (points[1] < 6) & (points[2] >= 0) & (points[2] < 6)
        run, points = run[kept], [values[kept] for values in points]
        heard = source._background.sensors[points[1].astype(int), points[2].astype(int)]
        run, points = run[heard], [values[heard] for values in points]
        np.add.at(found, (run, points[1].astype(int), points[2].astype(int)), 1)

    sensors = source._background.sensors
    error = np.sqrt(probability * (1 - probability) / repetitions)[sensors]
    z = ((found > 0).mean(axis=0) - probability)[sensors] / error
    assert np.abs(z).max() < 4
    assert (z**2).mean() < 1.9


def test_the_truth_knows_the_past_only(monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = date(2018, 5, 1), date(2018, 5, 10)
    source = SimulatedSource(make_city())
    before = source.true_probability(first, last)
    cut = datetime(2018, 5, 6, 4, tzinfo=UTC)  # local midnight
    all_alerts = source._alerts

    def without_the_future(first: date, last: date) -> tuple[list[Day], Alerts]:
        days, alerts = all_alerts(first, last)
        return days, alerts.take(alerts.time < cut.timestamp() * 1e6)

    monkeypatch.setattr(source, "_alerts", without_the_future)
    after = source.true_probability(first, last)
    np.testing.assert_array_equal(after[:6], before[:6])  # 1 to 6 May: known before 6 May began
    assert (after[6] <= before[6] + 1e-12).all()
    assert after[6].sum() < before[6].sum()


def test_the_rhythm_shows() -> None:
    table = three_years()
    days = np.unique(table["date"].to_numpy(), return_counts=True)
    by_date = dict(zip([day.astype(object) for day in days[0]], days[1], strict=True))
    ordinary = {day: number for day, number in by_date.items() if (day.month, day.day) not in FIREWORK_DAYS}
    weekend = np.mean([number for day, number in ordinary.items() if day.weekday() >= 5])
    week = np.mean([number for day, number in ordinary.items() if day.weekday() < 4])
    assert weekend > 1.25 * week
    for year in (2016, 2017, 2018):
        assert by_date[date(year, 7, 4)] > 3 * np.mean(list(ordinary.values()))
        assert by_date[date(year, 1, 1)] > 2 * np.mean(list(ordinary.values()))
    summer = np.mean([number for day, number in ordinary.items() if day.month in (6, 7, 8)])
    winter = np.mean([number for day, number in ordinary.items() if day.month in (12, 1, 2)])
    assert summer > 1.3 * winter
    zone = ZoneInfo("America/New_York")
    hours = np.bincount([time.astimezone(zone).hour for time in table["time_utc"].to_pylist()], minlength=24)
    assert hours[[22, 23, 0, 1]].sum() > 2.5 * hours[[8, 9, 10, 11]].sum()
    fourth = table.filter(pc.equal(table["date"], date(2017, 7, 4)))
    assert pc.mean(pc.fill_null(pc.equal(fourth["gunshot_type"], TYPES[2]), False)).as_py() > 0.35


def test_hot_spots_move() -> None:
    counts = counts_of(make_city(), three_years(), *YEARS).reshape(1096, -1)
    halves = counts[:548].sum(axis=0), counts[548:].sum(axis=0)
    both = halves[0] + halves[1]
    busy = both > 50
    # Two halves of the same Poisson rate differ by sqrt(both); clusters make that 1 / (1 - OFFSPRING) times as much.
    z = (halves[0] - halves[1])[busy] / np.sqrt(both[busy]) * (1 - OFFSPRING)
    assert (z**2).mean() > 2


def test_another_seed_is_another_city() -> None:
    other = SimulatedSource(make_city(seed=6))
    day = date(2018, 5, 5)
    assert not other.read(day, day)["time_utc"].equals(source().read(day, day)["time_utc"])
    assert (other._background.sensors != source()._background.sensors).any()


def test_reports_start_on_the_first_day_without_a_ramp() -> None:
    start = date(2017, 5, 1)
    late = SimulatedSource(make_city(start=start))
    table = late.read(start - timedelta(3), start + timedelta(3))
    assert table.equals(source().read(start, start + timedelta(3)))
    assert late.read(date(2017, 1, 1), date(2017, 1, 2)).equals(RAW_SCHEMA.empty_table())
    truth = late.true_probability(start - timedelta(1), start)
    assert not truth[0].any()
    np.testing.assert_array_equal(truth[1], source().true_probability(start, start)[0])
    assert not late.true_probability(date(2017, 1, 1), date(2017, 1, 2)).any()


def test_a_busy_city_takes_time_in_proportion() -> None:
    table = SimulatedSource(make_city(per_day=5000)).read(date(2018, 3, 1), date(2018, 3, 10))
    assert len(table) == pytest.approx(5000 * 10 * 0.85, rel=0.25)  # spring is below the year's mean
    assert pc.count_distinct(table["source_id"]).as_py() == len(table)


def test_a_city_with_another_source_is_refused() -> None:
    city = make_city().model_dump() | {"source": {"kind": "landing", "columns": {"time": "time"}}}
    with pytest.raises(ValueError, match="simulated_city has a source of kind 'landing'"):
        SimulatedSource(City.model_validate(city))
