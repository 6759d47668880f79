"""When live models are trained, on which windows, and how far their level may be off."""

from datetime import date, timedelta

import numpy as np
import pytest

from shotspotter_assets.cities.city import Box, City, Grid
from shotspotter_assets.cities.source_settings import SimulatedCitySource
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import next_day_inputs
from shotspotter_assets.serving.live_models import (
    LiveHistoryTooShortError,
    input_names,
    is_due,
    level_interval,
    live_windows,
    version_of,
)

TOWN = City(
    name="town",
    time_zone="America/New_York",
    start=date(2024, 1, 1),
    box=Box(west=-77.0, south=38.0, east=-76.0, north=39.0),
    grid=Grid(rows=4, columns=4),
    source=SimulatedCitySource(kind="simulated"),
)


def test_the_last_days_validate_and_short_histories_are_refused() -> None:
    assert live_windows(TOWN, 1000, 91) == (range(909), range(909, 1000))
    assert live_windows(TOWN, 150, 91) == (range(100), range(100, 150))
    with pytest.raises(LiveHistoryTooShortError, match=r"City town: 119 days of history.*Train from 2024-04-29 on"):
        live_windows(TOWN, 119, 91)
    assert (date(2024, 4, 29) - TOWN.start).days + 1 == 120


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("forecast", [(), ("robbery",)])
def test_names_of_inputs_follow_from_the_city_alone(late: bool, forecast: tuple[str, ...]) -> None:
    kinds = {"robbery": ("robbery",), "calls": ("shots fired",)}
    changes = {"event_types": kinds, "forecast": forecast, "time_precision": "second" if late else "day"}
    town = TOWN.model_copy(update=changes)
    counts = np.random.default_rng(0).poisson(0.1, (30, 6, *town.shape))
    hours = np.ones((30, *town.shape)) if late else None
    made = next_day_inputs(History(town, town.start, counts, np.eye(4, dtype=bool), hours), range(10, 20))
    assert input_names(town) == made.names
    assert "log_nearby_calls_30_days" in made.names
    assert made.names != input_names(TOWN)


@pytest.mark.parametrize(
    ("cadence", "days", "drift", "due"),
    [
        ("daily", 1, False, True),
        ("weekly", 6, True, False),
        ("weekly", 7, False, True),
        ("on_drift", 100, False, False),
        ("on_drift", 1, True, True),
    ],
)
def test_cadence(cadence, days: int, drift: bool, due: bool) -> None:
    last = date(2024, 6, 1)
    assert (is_due(cadence, last + timedelta(days=days), last, drift) is not None) == due


def test_the_level_of_weeks_without_firework_days() -> None:
    days = np.datetime64("2024-02-01") + np.arange(70)
    probability = np.full((70, 100), 0.1)
    observed = np.zeros((70, 100), dtype=bool)
    # Weeks of 70 foreseen cells in which 140, 70 or 35 are seen.
    for week in range(10):
        observed[week * 7 : week * 7 + 7, : {0: 20, 1: 5}.get(week, 10)] = True
    low, high = level_interval(probability, observed, days)
    assert low == pytest.approx(np.quantile(np.log((np.r_[[140, 35], [70] * 8] + 0.5) / 70.5), 0.1, method="weibull"))
    assert high > 0
    # The days around 4 July are left out, whatever they bring.
    july = np.datetime64("2024-06-06") + np.arange(70)
    assert level_interval(probability, np.tile(np.arange(100) < 10, (70, 1)), july) == pytest.approx((0, 0))
    wild = np.tile(np.arange(100) < 10, (70, 1))
    wild[np.isin(july, np.array(["2024-07-03", "2024-07-04", "2024-07-05"], "datetime64[D]"))] = True
    assert level_interval(probability, wild, july) == pytest.approx((0, 0))


def test_four_of_five_later_weeks_lie_within_the_level_interval() -> None:
    """Of a city whose weekly level is off by a quarter, judged on thirteen weeks, as live models are."""
    random = np.random.default_rng(0)
    days = np.datetime64("2024-01-08") + np.arange(7 * 13)
    probability, held = np.full((len(days), 500), 0.1), []
    for _ in range(300):
        level = np.exp(random.normal(0, 0.25, 14))
        observed = random.random(probability.shape) < 0.1 * np.repeat(level[:13], 7)[:, None]
        low, high = level_interval(probability, observed, days)
        later = np.log(random.binomial(7 * 500, min(0.1 * level[13], 1)) / (7 * 500 * 0.1))
        held.append(low <= later <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)


def test_versions_differ_with_any_byte_and_not_with_the_order() -> None:
    one = {"a": {"x": b"1", "y": b"2"}, "b": {"x": b"3"}}
    assert version_of(one) == version_of({"b": {"x": b"3"}, "a": {"y": b"2", "x": b"1"}})
    assert version_of(one) != version_of(one | {"b": {"x": b"4"}})
