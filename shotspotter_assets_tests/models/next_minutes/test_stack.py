"""Whom the stack of minutes trusts: the process where incidents follow each other, the even forecast where they do not."""

from dataclasses import replace

import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_minutes.even import MINUTES, EvenForecast
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.stack import (
    AFTER_SECONDS,
    EVEN,
    FILE,
    PRIOR_WEIGHTS,
    PROCESS,
    FittedMinutesStack,
    HourForecasts,
    Issues,
    fit_stack,
)
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import (
    NOT_CITY_WIDE,
    TRUTH,
    even_forecast,
    quiet_history,
    simulated,
)

TRAIN, VALIDATION, LATER = range(60 * 24), range(60 * 24, 100 * 24), range(100 * 24, 118 * 24)
"""Before the firework days of July."""
ALONE = replace(TRUTH, background=1.0, triggers=(), city_wide=NOT_CITY_WIDE)
HALF = {minutes: {EVEN: 0.5, PROCESS: 0.5} for minutes in MINUTES}


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return quiet_history(120)


@pytest.fixture(scope="module")
def even(history: HourlyHistory) -> np.ndarray:
    return even_forecast(history, 40.0)


@pytest.fixture(scope="module")
def incidents(history: HourlyHistory, even: np.ndarray) -> Incidents:
    return simulated(history, even)


@pytest.fixture(scope="module")
def stack(incidents: Incidents, history: HourlyHistory, even: np.ndarray) -> FittedMinutesStack:
    return stack_of(incidents, history, even)


def joined(first: Incidents, then: Incidents, instant: float) -> Incidents:
    """Those of `first` before an instant and of `then` from it on."""
    parts = (first.within(-np.inf, instant), then.within(instant, np.inf))
    return Incidents(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("seconds", "metres", "places"))
    )


def stack_of(
    incidents: Incidents, history: HourlyHistory, even: np.ndarray, train: range = TRAIN
) -> FittedMinutesStack:
    ahead = EvenForecast(even[VALIDATION.start : VALIDATION.stop], even[VALIDATION.start + 1 : VALIDATION.stop + 1])
    forecasts = HourForecasts(train, even[train.start : train.stop])
    return fit_stack(
        incidents, history, train=forecasts, validation=VALIDATION, ahead=ahead, both=HourForecasts(TRAIN, even[: TRAIN.stop]),
        prior=HALF,
    )  # fmt: skip


def losses_later(
    stack: FittedMinutesStack, incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> dict[str, float]:
    """Log loss of the next quarter of an hour in later hours, by forecast."""
    issues = Issues.of_nowcasts(history, LATER, incidents)
    spread = EvenForecast(even[issues.hour], even[issues.hour + 1]).ahead(issues.minute, 15)
    triggered = issues.triggered(stack.process, incidents, history)[0]
    observed = issues.observed(incidents, history, 15)
    expected = {
        "even": spread,
        "process": stack.process.expected(spread, triggered),
        "stack": stack.expected(spread, triggered, 15),
    }
    return {name: log_losses(-np.expm1(-one), observed).sum() / observed.sum() for name, one in expected.items()}


def test_the_process_is_trusted_where_incidents_follow_each_other(
    stack: FittedMinutesStack, incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> None:
    of_validation = incidents.within(*seconds_of(history.starts)[[VALIDATION.start, VALIDATION.stop - 2]])
    assert stack.learned_from == pytest.approx(len(of_validation), abs=2)
    for weights in stack.weights.values():
        assert weights[PROCESS] > 0.6 > 0.4 > weights[EVEN]
    losses = losses_later(stack, incidents, history, even)
    assert losses["stack"] < losses["even"] - 0.05
    assert losses["stack"] < losses["process"] + 0.02


def test_where_incidents_stop_to_follow_each_other_the_stack_is_hardly_worse_than_the_even_spread(
    incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> None:
    instant = seconds_of(history.starts)[VALIDATION.start]
    incidents = joined(incidents, simulated(history, even, ALONE, seed=4), instant)
    stack = stack_of(incidents, history, even)
    for weights in stack.weights.values():
        assert weights[PROCESS] < 0.4
    losses = losses_later(stack, incidents, history, even)
    assert losses["process"] > losses["even"] + 0.01
    assert losses["stack"] < losses["even"] + (losses["process"] - losses["even"]) / 3


def test_what_comes_after_the_validation_hours_teaches_nothing(
    stack: FittedMinutesStack, incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> None:
    until = incidents.within(-np.inf, seconds_of(history.starts)[VALIDATION.stop])
    assert stack_of(until, history, even).settings == stack.settings


def test_too_few_incidents_to_train_on_leave_the_prior_weights(
    incidents: Incidents, history: HourlyHistory, even: np.ndarray
) -> None:
    stack = stack_of(incidents, history, even, train=range(VALIDATION.start - 5, VALIDATION.start))
    assert (stack.learned_from, stack.weights) == (0, HALF)


def test_weights_are_learned_when_nowcasts_are_made(history: HourlyHistory) -> None:
    starts = seconds_of(history.starts)
    seconds = np.array([starts[9] + 3_590, starts[10] + 600, starts[13] + 1])
    incidents = Incidents(seconds, np.zeros((3, 2)), np.full((3, 2), 6))
    issues = Issues.of_nowcasts(history, range(10, 14), incidents)
    np.testing.assert_allclose(
        issues.seconds, [starts[10], seconds[0] + AFTER_SECONDS, seconds[1] + AFTER_SECONDS, starts[11]]
    )
    assert issues.hour.tolist() == [10, 10, 10, 11]
    np.testing.assert_allclose(issues.minute, [0, 50 / 60, 11, 0])


def test_a_cell_has_an_incident_that_begins_after_the_issue_and_within_the_minutes(history: HourlyHistory) -> None:
    start = seconds_of(history.starts)[10]
    places = np.array([[6, 6], [6, 7], [0, 0], [6, 8]])
    incidents = Incidents(start + np.array([0.0, 900.0, 900.0, 901.0]), np.zeros((4, 2)), places)
    observed = Issues(np.array([start]), np.array([10]), np.zeros(1)).observed(incidents, history, 15)
    [[cell]] = np.argwhere(observed[0])
    assert np.argwhere(history.in_coverage)[cell].tolist() == [6, 7]


def test_prior_weights_are_of_the_members_and_of_all_minutes() -> None:
    assert tuple(PRIOR_WEIGHTS) == MINUTES
    assert all(set(weights) == {EVEN, PROCESS} for weights in PRIOR_WEIGHTS.values())


def test_a_stack_is_the_same_when_it_is_loaded_and_earlier_ones_had_no_weights(stack: FittedMinutesStack) -> None:
    again = FittedMinutesStack.load(stack.files())
    assert again is not None
    assert again.settings == stack.settings
    assert again.process == stack.process
    assert again.centre == stack.centre
    assert FittedMinutesStack.load({name: data for name, data in stack.files().items() if name != FILE}) is None
