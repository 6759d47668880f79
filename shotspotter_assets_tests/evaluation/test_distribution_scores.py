from datetime import date
from itertools import count

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.count_scores import (
    COUNTS,
    YEAR,
    city_losses,
    city_totals,
    counts_table,
    distribution_rows,
    stored_distributions,
)
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.score_rows import ALL
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets_tests.evaluation.forecasts import days_from

DAYS = 140
CELLS = 12
FACTOR_VARIANCE = 0.3


def numbers(first: date = date(2024, 1, 1), seed: int = 0, level: float = 1.0) -> tuple[pa.Table, CountDistribution]:
    """Numbers of bursts whose cells share a factor, as forecast; a year's mean knows neither cells nor loud days."""
    random = np.random.default_rng(seed)
    loud = random.gamma(2.0, 0.5, (DAYS, 1))
    probability = np.clip(loud * np.linspace(0.05, 0.4, CELLS), 0.01, 0.9)
    forecast = CountDistribution(probability, np.full(probability.shape, 0.6), np.full(probability.shape, 2.0))
    shared = random.gamma(1 / FACTOR_VARIANCE, FACTOR_VARIANCE, (DAYS, 1))
    bursts = random.random(probability.shape) < np.clip(level * probability * shared, 0, 1)
    alerts = bursts * (1 + random.negative_binomial(2.0, 2 / 2.6, probability.shape))
    mean = forecast.expected.sum(axis=1).mean()
    columns = {
        "date": days_from(first, alerts)[:, None],
        "row": 0,
        "column": np.arange(CELLS),
        "alerts": alerts,
        "total_low": 0.0,
        "total_high": 9.0,
        "factor_variance": FACTOR_VARIANCE,
        "year_mean": mean,
        "year_size": 3.0,
        "mean_of_counts": forecast.expected.mean(axis=0),
    }
    return counts_table(forecast, columns), forecast


def test_totals_of_a_table_are_those_of_its_distribution() -> None:
    table, forecast = numbers()
    totals = city_totals(*stored_distributions(table))
    np.testing.assert_array_equal(totals.number, table["alerts"].to_numpy().reshape(DAYS, CELLS).sum(axis=1))
    expected = forecast.total(FACTOR_VARIANCE)
    np.testing.assert_allclose(totals.forecasts[SERVED].pmf(totals.number), expected.pmf(totals.number))
    assert totals.forecasts[YEAR].var() == pytest.approx(
        totals.forecasts[YEAR].mean() * (1 + totals.forecasts[YEAR].mean() / 3)
    )


def test_a_distribution_of_the_day_gains_over_that_of_a_year() -> None:
    table, forecast = numbers()
    rows = distribution_rows(table)
    totals = city_totals(*stored_distributions(table))
    losses = {name: city_losses(total, totals.number) for name, total in totals.forecasts.items()}
    for score in ("log_score", "rps"):
        gain = rows[COUNTS, ALL, SERVED, f"{score}_city_gain_over_{YEAR}"]
        assert gain.value == pytest.approx((losses[YEAR][score] - losses[SERVED][score]).mean())
        assert 0 < (gain.low or 0) < (gain.value or 0) < (gain.high or 0)
    served = {key[3]: row.value for key, row in rows.items() if key[2] == SERVED}
    number = table["alerts"].to_numpy()
    assert served["log_score_cells"] == pytest.approx(-np.log(forecast.pmf(number.reshape(DAYS, CELLS))).mean())
    assert served["coverage_50_city"] == pytest.approx(0.5, abs=0.1)
    assert served["coverage_95_city"] == pytest.approx(0.95, abs=0.05)
    assert sum(served[f"pit_{tenth}_city"] or 0 for tenth in range(1, 11)) == pytest.approx(1)
    assert (served["pit_p_city"] or 0) > 0.05


def test_a_wrong_level_shows_in_the_pit() -> None:
    rows = distribution_rows(numbers(level=0.6)[0])
    assert (rows[COUNTS, ALL, SERVED, "pit_slope_city"].value or 0) < -0.3
    assert (rows[COUNTS, ALL, SERVED, "pit_p_city"].value or 1) < 0.01


def test_losses_follow_the_distribution() -> None:
    totals = city_totals(*stored_distributions(numbers()[0]))
    losses = city_losses(totals.forecasts[YEAR], totals.number)
    at_most = np.stack([totals.forecasts[YEAR].cdf(k) for k, _ in zip(count(), range(400), strict=False)])
    expected = ((at_most - (totals.number <= np.arange(400)[:, None])) ** 2).sum(axis=0)
    np.testing.assert_allclose(losses["rps"], expected, rtol=1e-5)
    # Seven quantiles come near the integral over all of them.
    assert losses["wis"].mean() == pytest.approx(losses["rps"].mean(), rel=0.3)


def test_a_day_without_a_yearly_reference_is_left_out() -> None:
    of_day = np.where(np.arange(3) > 0, 2.0, np.nan)[:, None]
    cells = CountDistribution(*np.full((3, 3, 2), 0.5))
    columns = {"date": days_from(date(2024, 1, 1), np.zeros((3, 2)))[:, None], "row": 0, "column": np.arange(2)}
    numbers_of_days = {"alerts": 1, "total_low": 0.0, "total_high": 2.0, "factor_variance": 0.1}
    years = {"year_mean": of_day, "year_size": of_day}
    stored, _ = stored_distributions(counts_table(cells, columns | numbers_of_days | years))
    assert stored["date"].to_pylist() == [date(2024, 1, 2)] * 2 + [date(2024, 1, 3)] * 2
