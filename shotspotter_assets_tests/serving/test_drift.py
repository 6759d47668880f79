"""Drift of the number, the types and the places of alerts."""

from datetime import date, timedelta

import numpy as np
import pytest

from shotspotter_assets.serving.drift import drift_of
from shotspotter_assets_tests.serving.town import ALL_CELLS, TOWN


def counts(days: int = 14 * 28) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.poisson(0.1, (days, 4, 4, 4)).astype(np.int64)


@pytest.mark.parametrize("seed", range(3))
def test_chance_and_firework_days_are_no_drift(seed: int) -> None:
    alerts = np.random.default_rng(seed).poisson(0.1, (14 * 28, 4, 4, 4))
    first = date(2024, 7, 20) - timedelta(days=14 * 28 - 1)
    alerts[(date(2024, 7, 4) - first).days] = 20
    drift = drift_of(alerts, first, ALL_CELLS, TOWN)
    assert not drift.drifted, drift.reasons
    assert drift.rate.decided


def test_drift_of_rate_mix_and_coverage_is_told_apart() -> None:
    first = date(2023, 2, 1)
    more = counts()
    more[-28:] *= 2
    drift = drift_of(more, first, ALL_CELLS, TOWN)
    assert (drift.rate.drifted, drift.mix.drifted, drift.coverage.drifted) == (True, False, False)
    assert drift.rate.recent / drift.rate.usual == pytest.approx(2, rel=0.3)

    relabelled = counts()
    relabelled[-28:, 1] += relabelled[-28:, 0]
    relabelled[-28:, 0] = 0
    drift = drift_of(relabelled, first, ALL_CELLS, TOWN)
    assert (drift.rate.drifted, drift.mix.drifted, drift.coverage.drifted) == (False, True, False)
    assert "single gunshot" in " ".join(drift.reasons)

    part = ALL_CELLS.copy()
    part[:, 0] = False
    drift = drift_of(counts(), first, part, TOWN)
    assert (drift.rate.drifted, drift.mix.drifted, drift.coverage.drifted) == (False, False, True)
    assert drift.coverage.share_outside == pytest.approx(0.25, abs=0.1)


def test_a_short_past_is_not_judged() -> None:
    drift = drift_of(counts(100), date(2024, 1, 1), ALL_CELLS, TOWN)
    assert not drift.rate.decided
    assert not drift.drifted
