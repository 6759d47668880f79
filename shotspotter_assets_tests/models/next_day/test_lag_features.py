from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import Inputs
from shotspotter_assets.models.next_day.lag_features import is_rate, lag_features
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, counts
from shotspotter_assets_tests.models.histories import CITY, TEST, fitted, history


def features_of(alerts: np.ndarray, first_day: date = FIRST_DAY, in_coverage: np.ndarray = COVERED) -> Inputs:
    return lag_features(History(CITY, first_day, alerts, in_coverage), range(len(alerts) + 1))


@settings(max_examples=15, deadline=None)
@given(day=st.integers(0, 199), seed=st.integers(0, 1000))
def test_features_of_a_day_use_only_the_days_before_it(day, seed):
    past = counts(200)
    changed = past.copy()
    changed[day:] = np.random.default_rng(seed).integers(0, 9, changed[day:].shape)
    # Starts in June, so that both firework seasons lie within.
    before = features_of(past, date(2021, 6, 20)).values
    after = features_of(changed, date(2021, 6, 20)).values
    np.testing.assert_array_equal(before[: day + 1], after[: day + 1])
    assert (before[day + 1 :] != after[day + 1 :]).any()


def test_features_do_not_depend_on_what_uncovered_cells_hold():
    quiet, noisy = counts(60), counts(60)
    noisy[:, :, ~COVERED] = 5
    np.testing.assert_array_equal(*(features_of(alerts).values for alerts in (quiet, noisy)))


def test_values_by_hand():
    alerts = np.zeros((400, 4, 1, 2), dtype=np.uint16)
    alerts[3, 0, 0, 0], alerts[3, 3, 0, 0] = 4, 1
    first = date(2021, 7, 1)
    alerts[3:5, 1, 0, 1] = 1  # 4 and 5 July
    features = features_of(alerts, first, np.ones((1, 2), dtype=bool))

    def value(day: int, cell: int, name: str) -> float:
        return float(features.values[day, cell, features.names.index(name)])

    assert features.values.dtype == np.float32
    assert len(set(features.names)) == len(features.names) == features.values.shape[2] == len(is_rate(features.names))
    assert value(4, 0, "occupied_all_history") == pytest.approx(1 / 4)
    assert value(4, 0, "alerts_all_history") == pytest.approx(3 / 4)  # five alerts counted as three
    assert value(4, 0, "alerts_yesterday") == 3
    assert value(5, 0, "alerts_yesterday") == 0
    assert np.exp(value(4, 0, "log_days_since_last_alert")) == pytest.approx(1)
    assert np.exp(value(13, 0, "log_days_since_last_alert")) == pytest.approx(10)
    assert np.exp(value(3, 0, "log_days_since_last_alert")) == pytest.approx(730)
    # The level of ordinary days is 0: both alerts fell on firework days.
    assert value(10, 0, "city_7_days") == 0
    firework = [bool(features.values[day, 0, features.names.index("is_firework_day")]) for day in range(6)]
    assert firework == [False, False, True, True, True, False]
    a_year_later = [(date(2022, 7, day) - first).days for day in (3, 4, 5, 6)]
    last_year = [value(day, 0, "city_last_year_on_firework_day") for day in a_year_later]
    assert last_year == pytest.approx([0.0, 1.0, 0.5, 0.0])
    assert value(a_year_later[0], 0, "occupied_on_past_firework_days") > 0
    assert value(a_year_later[3], 0, "occupied_on_past_firework_days") == 0


def test_weekdays_are_those_of_the_calendar():
    features = features_of(counts(30))
    names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    columns = features.values[:, 0, [features.names.index(name) for name in names]]
    assert columns.argmax(axis=1).tolist() == [(FIRST_DAY + timedelta(days=day)).weekday() for day in range(31)]
    assert (columns.sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", ["logistic_regression", "gradient_boosting"])
def test_a_model_of_other_features_is_refused(name):
    other = replace(fitted(name), names=fitted(name).names[1:])
    with pytest.raises(OtherInputsError, match=f"stored {name} was fitted on other inputs"):
        other.predict(history(), TEST)
