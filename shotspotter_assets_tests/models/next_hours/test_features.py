import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.features import (
    CELL_FEATURES,
    Rows,
    ahead,
    cell_features,
    hour_profile,
    window_features,
)
from shotspotter_assets_tests.models.hours import COVERED, FIRST_DAY, city, counts, history

CELLS = int(COVERED.sum())


def features(made: HourlyHistory, hours: range) -> np.ndarray:
    rows = Rows(np.repeat(np.arange(len(hours)), CELLS), np.tile(np.arange(CELLS), len(hours)))
    profile = hour_profile(made, range(24 * 100), 1.0)
    ours = window_features(made, hours, 4, profile)[rows.hour]
    return np.concatenate([cell_features(made, hours, rows, profile), ours], axis=1)


def test_no_feature_knows_the_hour_it_is_issued_at_or_later_ones():
    changed = counts()
    changed[3000:] = 5
    before, after = (
        features(history(), range(2990, 3001)),
        features(HourlyHistory(city(), FIRST_DAY, changed, COVERED), range(2990, 3001)),
    )
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(
        features(history(), range(3000, 3002)),
        features(HourlyHistory(city(), FIRST_DAY, changed, COVERED), range(3000, 3002)),
    )


def test_one_hour_alone_has_the_features_that_it_has_among_others():
    many, one = features(history(), range(2000, 2101)), features(history(), range(2100, 2101))
    np.testing.assert_allclose(many[-CELLS:], one, rtol=1e-3, atol=1e-5)


def test_a_recent_alert_shows_in_its_cell_and_less_in_its_neighbours():
    one_alert = np.zeros((3000, 4, 6, 6), np.uint16)
    one_alert[2999, 0, 3, 3] = 1
    made = HourlyHistory(city(), FIRST_DAY, one_alert, COVERED)
    near = features(made, range(3000, 3001))[:, CELL_FEATURES.index("alerts_1_hours_within_0.8_cells")]
    cell = {(row, column): at for at, (row, column) in enumerate(np.argwhere(COVERED).tolist())}
    assert near[cell[3, 3]] > near[cell[3, 4]] > near[cell[3, 5]] > 0


def test_profile_follows_the_hours_and_ahead_is_their_mean():
    made = history()
    profile = hour_profile(made, range(24 * 200), 1.0)
    assert profile.shape == (168,)
    assert profile.mean() == pytest.approx(1.0)
    assert profile.reshape(7, 24)[:, 20].min() > 2 * profile.reshape(7, 24)[:, 9].max()
    np.testing.assert_allclose(ahead(np.array([1.0, 2, 6]), 2), [1.5, 4])
