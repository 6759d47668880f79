import numpy as np
import pytest

from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.next_hours import hourly_inputs
from shotspotter_assets_tests.models.hours import COVERED, counts, history, of_counts

CELLS = int(COVERED.sum())


def features(made: HourlyHistory, hours: range) -> np.ndarray:
    rows = hourly_inputs.Rows(np.repeat(np.arange(len(hours)), CELLS), np.tile(np.arange(CELLS), len(hours)))
    profile = hourly_inputs.hour_profile(made, range(24 * 100))
    of_hours = [values[rows.hour] for values in hourly_inputs.window_features(made, hours, 4, profile).values()]
    return np.column_stack([hourly_inputs.cell_features(made, hours, rows, profile), *of_hours])


def test_no_feature_knows_the_hour_it_is_issued_at_or_later_ones():
    changed = counts()
    changed[3000:] = 5
    before = features(history(), range(2990, 3001))
    after = features(of_counts(changed), range(2990, 3001))
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(features(history(), range(3000, 3002)), features(of_counts(changed), range(3000, 3002)))


def test_one_hour_alone_has_the_features_that_it_has_among_others():
    many = features(history(), range(2000, 2101))
    one = features(history(), range(2100, 2101))
    np.testing.assert_allclose(many[-CELLS:], one, rtol=1e-3, atol=1e-5)


def test_profile_follows_the_hours_and_ahead_is_their_mean():
    made = history()
    profile = hourly_inputs.hour_profile(made, range(24 * 200))
    assert profile.shape == (168,)
    assert profile.mean() == pytest.approx(1.0)
    assert profile.reshape(7, 24)[:, 20].min() > 2 * profile.reshape(7, 24)[:, 9].max()
    np.testing.assert_allclose(hourly_inputs.ahead(np.array([1.0, 2, 6]), 2), [1.5, 4])


def column(made: HourlyHistory, hour: int, name: str) -> np.ndarray:
    return features(made, range(hour, hour + 1))[:, hourly_inputs.CELL_FEATURES.index(name)]


def test_bursts_count_as_three_alerts_and_silent_cells_as_one_a_year():
    burst = np.zeros((3000, 4, 6, 6), np.uint16)
    burst[2999, 0, 3, 3] = 9
    burst[2999, 0, 4, 4] = 3
    made = of_counts(burst)
    assert sorted(column(made, 3000, "alerts_1_hours"))[-3:] == pytest.approx([0, 3, 3])
    assert min(column(made, 3000, "log_rate_7_days")) == pytest.approx(-np.log(365.2425 * 24))


@pytest.mark.parametrize(("days", "prior"), [(0.125, 3 / 24), (1, 3 / 24), (7, 3 / 24 / 7), (30, 3 / 24 / 30)])
def test_city_level_is_observed_over_expected_alerts(days, prior):
    made = history()
    hour = 24 * 200
    profile = hourly_inputs.hour_profile(made, range(24 * 100))
    ordinary = ~made.clock.fireworks[:hour]
    weights = 2.0 ** (-(hour - 1 - np.arange(hour)) / (24 * days)) * (ordinary if days > 1 else 1)
    total = (2.0 ** (-np.arange(hour) / (24 * days))).sum()
    long_run = (made.occupied.mean(axis=1)[:hour] * ordinary).mean()
    observed = weights @ made.occupied.mean(axis=1)[:hour] / total
    expected = weights @ profile[made.clock.hour_of_week[:hour]] / total
    level = np.log((observed + prior * long_run) / ((expected + prior) * long_run))
    np.testing.assert_allclose(column(made, hour, f"log_city_{days:g}_days"), level, rtol=1e-3, atol=1e-4)
