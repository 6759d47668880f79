"""Drift of the number, the types and the places of alerts."""

from datetime import date, timedelta

import numpy as np
import pytest

from shotspotter_assets.serving.drift import DRIFT_DAYS, Drift, drift_of
from shotspotter_assets_tests.serving.town import ALL_CELLS, TOWN

ORDINARY = date(2023, 8, 15)
"""No firework day is among the 28 days to it."""


def daily_alerts(*per_day: int, days: int = DRIFT_DAYS) -> np.ndarray:
    """A constant number of alerts of each type in one cell every day."""
    alerts = np.zeros((days, 4, 4, 4), dtype=np.int64)
    alerts[:, : len(per_day), 0, 0] = per_day
    return alerts


def drift_to_ordinary(alerts: np.ndarray, in_coverage: np.ndarray = ALL_CELLS) -> Drift:
    return drift_of(alerts, ORDINARY - timedelta(days=len(alerts) - 1), in_coverage, TOWN)


def test_chance_and_firework_days_are_no_drift() -> None:
    alerts = np.random.default_rng(0).poisson(0.1, (14 * 28, 4, 4, 4))
    first = date(2024, 7, 20) - timedelta(days=14 * 28 - 1)
    alerts[(date(2024, 7, 4) - first).days] = 20
    drift = drift_of(alerts, first, ALL_CELLS, TOWN)
    assert not drift.drifted, drift.reasons
    assert drift.rate.decided


@pytest.mark.parametrize(("more", "drifted"), [(49, False), (50, True), (-49, False), (-50, True)])
def test_a_rate_drifts_beyond_three_and_a_half_deviations(more: int, drifted: bool) -> None:
    # At 7 a day, chance alone gives a deviation of sqrt(7 / 28) = 0.5 a day; 49 in 28 days are 3.5 of them.
    alerts = daily_alerts(7)
    alerts[-28:, 0, 0, 0] = np.diff(np.linspace(0, 7 * 28 + more, 29).astype(np.int64))
    drift = drift_to_ordinary(alerts)
    assert (drift.rate.drifted, abs(drift.rate.z or 0)) == (drifted, pytest.approx(abs(more) / 14))
    assert len(drift.reasons) == int(drifted)


@pytest.mark.parametrize(("single", "drifted"), [(54, False), (56, True)])
def test_a_mix_drifts_from_a_tenth_on(single: int, drifted: bool) -> None:
    # Many alerts, so that chance is small; half of them single gunshots before, and now this many of a hundred.
    alerts = daily_alerts(5_000, 5_000)
    alerts[-28:, 0, 0, 0], alerts[-28:, 1, 0, 0] = (100 * single + 500, 10_000 - 100 * single - 500)
    drift = drift_to_ordinary(alerts)
    assert drift.mix["single gunshot"].recent == pytest.approx(single / 100 + 0.05)
    assert drift.mix["single gunshot"].drifted == drifted
    assert ("single gunshot" in " ".join(drift.reasons)) == drifted


@pytest.mark.parametrize(
    ("inside", "outside", "drifted"), [(90, 10, False), (89, 11, True), (0, 9, False), (0, 10, True)]
)
def test_coverage_drifts_if_ten_alerts_and_more_than_a_tenth_lie_outside(
    inside: int, outside: int, drifted: bool
) -> None:
    alerts, part = daily_alerts(0), ALL_CELLS.copy()
    part[3, 3] = False
    alerts[-1, 0, 0, 0], alerts[-1, 0, 3, 3] = inside, outside
    drift = drift_to_ordinary(alerts, part)
    assert (any("outside the cells" in reason for reason in drift.reasons), drift.alerts_outside) == (drifted, outside)
