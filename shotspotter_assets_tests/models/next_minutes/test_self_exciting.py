"""The process of the next minutes: what is simulated is found again, and forecasts are what the process says."""

from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import (
    CellMasses,
    CityWideTrigger,
    FittedMinutes,
    Trigger,
    Triggered,
    fit_minutes,
)
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import (
    COVERED,
    NOT_CITY_WIDE,
    TRUTH,
    even_forecast,
    quiet_history,
    simulated,
)

DAYS = 140


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return quiet_history(DAYS)


@pytest.fixture(scope="module")
def even(history: HourlyHistory) -> np.ndarray:
    return even_forecast(history, 40.0)


@pytest.fixture(scope="module")
def incidents(history: HourlyHistory, even: np.ndarray) -> Incidents:
    return simulated(history, even)


@pytest.fixture(scope="module")
def fitted(incidents: Incidents, history: HourlyHistory, even: np.ndarray) -> FittedMinutes:
    return fit_minutes(incidents, history, range(len(history)), even)


def test_the_numbers_of_a_simulated_process_are_found_again(fitted: FittedMinutes) -> None:
    assert fitted.background == pytest.approx(TRUTH.background, rel=0.05)
    assert fitted.known_share == pytest.approx(TRUTH.known_share, abs=0.15)
    # The truth has no echo, whose incidents the two others could have as well.
    echo, quick, slow = fitted.triggers
    assert echo.triggered + quick.triggered == pytest.approx(TRUTH.triggers[0].triggered, rel=0.25)
    assert quick.half_life == pytest.approx(TRUTH.triggers[0].half_life, rel=0.4)
    assert quick.width == pytest.approx(TRUTH.triggers[0].width, rel=0.35)
    assert slow.triggered == pytest.approx(TRUTH.triggers[1].triggered, rel=0.25)
    assert slow.half_life == pytest.approx(TRUTH.triggers[1].half_life, rel=0.3)
    assert slow.width == pytest.approx(TRUTH.triggers[1].width, rel=0.25)
    assert fitted.city_wide.triggered == pytest.approx(TRUTH.city_wide.triggered, rel=0.25)
    assert fitted.city_wide.half_life == pytest.approx(TRUTH.city_wide.half_life, rel=0.4)


def test_the_level_of_a_forecast_is_that_of_the_hours(fitted: FittedMinutes, even: np.ndarray) -> None:
    assert fitted.level == pytest.approx(fitted.incidents / even.sum())
    triggered = Triggered(np.array([[0.1, 0.0]]), np.array([0.08]))
    np.testing.assert_allclose(
        fitted.expected(np.array([[0.3, 0.1]]), triggered)[0] * fitted.level,
        [fitted.background * 0.3 + 0.1 + 0.06, fitted.background * 0.1 + 0.02],
    )


def test_incidents_that_trigger_nothing_are_found_to_trigger_nothing(history: HourlyHistory, even: np.ndarray) -> None:
    alone = replace(TRUTH, triggers=(), city_wide=NOT_CITY_WIDE)
    fitted = fit_minutes(simulated(history, even, alone, seed=1), history, range(len(history)), even)
    assert sum(trigger.triggered for trigger in fitted.triggers) < 0.02
    assert fitted.city_wide.triggered < 0.05
    assert fitted.background == pytest.approx(TRUTH.background, rel=0.05)
    assert fitted.gain < 0.01


def test_forecasts_sum_to_what_comes_and_gain_where_an_incident_was_near(
    incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> None:
    starts = seconds_of(history.starts)
    cell = incidents.covered_cells(COVERED)
    expected, spread, came = np.zeros(3), np.zeros(3), np.zeros(3)
    minutes = np.array([15.0, 30.0, 60.0])
    for hour in range(24, 24 * 100, 4):
        issue = starts[hour] + 60 * 20
        triggered = TRUTH.triggered(incidents, history, issue, minutes)
        whole = even[hour] * np.minimum(minutes, 40)[:, None] / 60
        whole = whole + even[hour + 1] * np.maximum(minutes - 40, 0)[:, None] / 60
        expected += TRUTH.expected(whole, triggered).sum(axis=1)
        spread += whole.sum(axis=1)
        for at, ahead in enumerate(minutes):
            new = (incidents.seconds > issue) & (incidents.seconds <= issue + 60 * ahead) & (cell >= 0)
            came[at] += new.sum()
    # What is to come triggers more of its own, which is left out: some within a quarter of an hour.
    of_their_own = sum(one.triggered * (1 - 2 ** (-7.5 / one.half_life)) for one in (*TRUTH.triggers, TRUTH.city_wide))
    assert came[0] == pytest.approx(expected[0] * (1 + of_their_own), rel=0.1)
    assert (came > expected * 0.9).all()
    assert (spread * TRUTH.background < came * 0.9).all()


def test_an_incident_of_an_earlier_hour_counts_as_much_as_the_fit_says(history: HourlyHistory) -> None:
    process = FittedMinutes(1.0, 0.25, (Trigger(0.2, 10.0, 200.0),), CityWideTrigger(0.1, 10.0), 1.0, 0, 0.0)
    hour = seconds_of(history.starts)[100]
    middle = np.array([[4_000.0, 4_000.0]])

    def triggered(at: float, issue: float) -> Triggered:
        only = Incidents(np.array([at]), middle, np.array([[6, 6]]))
        return process.triggered(only, history, issue, np.array([15.0]))

    of_this_hour, of_the_hour_before = triggered(hour + 60, hour + 660), triggered(hour - 60, hour + 540)
    share = 2 ** (-1.0) - 2 ** (-2.5)
    assert of_this_hour.near.sum() == pytest.approx(0.2 * share, rel=1e-3)
    assert of_this_hour.city_wide == pytest.approx(0.1 * share)
    for whole, part in zip(of_this_hour, of_the_hour_before, strict=True):
        np.testing.assert_allclose(part, 0.25 * whole)
    for nothing in (*triggered(hour + 661, hour + 660), *triggered(hour - 12 * 3600, hour + 60)):
        assert not nothing.any()


def test_the_share_of_a_cell_is_that_of_points_drawn_around_the_incident(history: HourlyHistory) -> None:
    metres = np.array([[1_234.0, 5_678.0], [3_000.0, 2_650.0]])
    masses = CellMasses(history, metres)
    drawn = metres[:, None] + np.random.default_rng(0).normal(0, 300.0, (2, 50_000, 2))
    for point in range(2):
        places = np.zeros((len(drawn[point]), 2), np.int64)
        plane = masses._plane
        places[:, 0] = drawn[point, :, 1] / plane.height * 12
        places[:, 1] = drawn[point, :, 0] / plane.width * 12
        of_points = Incidents(np.arange(len(places)) * 1.0, drawn[point], places).covered_cells(COVERED)
        share = np.bincount(of_points[of_points >= 0], minlength=int(COVERED.sum())) / len(places)
        np.testing.assert_allclose(masses.of_all(300.0)[point], share, atol=0.01)
    of_pair, of_coverage = masses.of_some(np.array([1]), np.array([[5, 6]]), 300.0)
    np.testing.assert_allclose(masses.of_all(300.0).sum(axis=1), of_coverage)
    cell = np.flatnonzero((np.argwhere(COVERED) == [5, 6]).all(axis=1))
    np.testing.assert_allclose(of_pair, masses.of_all(300.0)[1, cell])


def test_too_few_incidents_are_refused_by_name(history: HourlyHistory, even: np.ndarray, incidents: Incidents) -> None:
    few = incidents.within(0, incidents.seconds[40])
    with pytest.raises(HourlyHistoryError, match=r"made_up_city: 40 incidents .* 50 are needed"):
        fit_minutes(few, history, range(len(history)), even)


def test_a_night_of_fireworks_teaches_nothing() -> None:
    longer = quiet_history(180)
    assert longer.clock.fireworks[: len(longer)].any()
    days = np.flatnonzero(longer.clock.fireworks[: len(longer)])
    starts, random = seconds_of(longer.starts), np.random.default_rng(5)
    calm = simulated(longer, even_forecast(longer, 40.0))
    at = np.sort(random.uniform(starts[days[0]], starts[days[-1]], 3_000))
    place = random.integers(5, 8, (3_000, 2))
    wild = Incidents(
        np.r_[calm.seconds, at], np.r_[calm.metres, (place[:, ::-1] + 0.5) * 740.0], np.r_[calm.places, place]
    )
    order = np.argsort(wild.seconds)
    wild = Incidents(wild.seconds[order], wild.metres[order], wild.places[order])
    hours, whole = range(140 * 24, len(longer)), even_forecast(longer, 40.0)
    with_fireworks, without = (fit_minutes(some, longer, hours, whole[hours.start :]) for some in (wild, calm))
    assert with_fireworks.incidents == without.incidents
    assert with_fireworks.triggers == without.triggers


def test_a_fitted_process_is_the_same_when_it_is_loaded(fitted: FittedMinutes) -> None:
    assert FittedMinutes.load(fitted.files()) == fitted
