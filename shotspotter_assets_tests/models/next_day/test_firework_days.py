import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.models.next_day.firework_days import firework_probability

COVERED = np.ones((6, 6), dtype=bool)
LOGIT = np.linspace(-5, -2, 36)


def observed(level: float, days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((days, 36)) < expit(LOGIT + level)


def days(*names: str) -> np.ndarray:
    return np.array(names, dtype="datetime64[D]")


def forecast(day: str, past: np.ndarray, happened: np.ndarray) -> np.ndarray:
    logits = np.broadcast_to(LOGIT, happened.shape)
    return firework_probability(np.datetime64(day), LOGIT, past, logits, happened, COVERED)


def test_a_level_that_fell_falls_in_the_forecast():
    past = days("2018-07-04", "2019-07-04", "2020-07-04")
    happened = np.concatenate([observed(4, 1), observed(4, 1, 1), observed(4, 1, 2)])
    fallen = np.concatenate([observed(4, 2), observed(-1, 1, 2)])
    assert forecast("2021-07-04", past, fallen).mean() < forecast("2021-07-04", past, happened).mean()


def test_new_year_keeps_its_level_where_summer_lost_its_own():
    past = days(*(f"{year}-{day}" for year in range(2016, 2020) for day in ("07-04", "07-05", "12-31")))
    levels = [0 if in_july and at >= 6 else 4 for at, in_july in enumerate([True, True, False] * 4)]
    happened = np.concatenate([observed(level, 1, at) for at, level in enumerate(levels)])
    new_year, july = forecast("2020-01-01", past, happened), forecast("2020-07-03", past, happened)
    assert new_year.mean() > 2 * july.mean()


def test_without_a_past_it_stays_near_the_ordinary_forecast():
    alone = forecast("2021-07-04", days(), np.zeros((0, 36), dtype=bool))
    assert (alone > expit(LOGIT)).all()
    assert (alone < 4 * expit(LOGIT)).all()
    assert (np.diff(alone) > 0).all()


def test_city_with_ordinary_firework_days_has_the_ordinary_forecast():
    past = days(*(f"{year}-{day}" for year in range(2011, 2021) for day in ("07-04", "12-31")))
    happened = np.concatenate([observed(0, 1, seed) for seed in range(len(past))])
    assert forecast("2021-07-04", past, happened).mean() == pytest.approx(expit(LOGIT).mean(), rel=0.25)


def test_lifts_places_that_are_busier_on_firework_days():
    past = days("2018-07-04", "2019-07-04", "2020-07-04")
    happened = np.zeros((3, 36), dtype=bool)
    happened[:, :6] = True
    here = forecast("2021-07-04", past, happened)
    # The ordinary forecast of these six is the lowest of all.
    assert here[:6].mean() > here[6:18].mean()
