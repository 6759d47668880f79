"""Fits on a sample of a fine grid's cell-days: its inputs, its weights, what it forecasts, and how much memory it takes."""

import tracemalloc
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.special import logit

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.memory import MAX_FIT_ROWS
from shotspotter_assets.models.forecaster import validation_of
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day import cell_days
from shotspotter_assets.models.next_day.cell_days import SomeCells, fit_sample
from shotspotter_assets.models.next_day.features import inputs_of_rows, names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_day.lag_features import lag_features, lag_features_of_rows
from shotspotter_assets.models.next_day.shared_regression import SharedRows
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets_tests.models.histories import (
    CITY,
    COVERED,
    build,
    context_of,
    history,
)

FITTED_ON_ROWS = (
    "regime_regression",
    "residual_boosting",
    "shared_regression",
    "logistic_regression",
    "gradient_boosting",
)


@pytest.mark.parametrize("lead", [1, 3])
def test_chosen_cell_days_have_the_inputs_that_they_have_among_all(lead: int) -> None:
    past = replace(history(), lead=lead)
    random = np.random.default_rng(0)
    day, cell = np.nonzero(random.random((290, COVERED.sum())) < 0.1)
    rows = SomeCells(past, day, cell)
    every = next_day_inputs(past, range(290))
    values, names = inputs_of_rows(past, rows)
    assert names == every.names
    np.testing.assert_allclose(values, every.values[day, cell], rtol=1e-4, atol=1e-5)
    features, lags = lag_features_of_rows(past, rows), lag_features(past, range(290))
    assert features.names == lags.names
    np.testing.assert_array_equal(features.is_rate, lags.is_rate)
    np.testing.assert_allclose(features.values, lags.values[day, cell], rtol=1e-4, atol=1e-5)


def test_the_usual_grid_is_fitted_on_all_cell_days_and_a_finer_one_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    past = history()
    assert fit_sample(past, 290) is None
    assert MAX_FIT_ROWS > 540 * 1826  # Washington DC in five years
    size = 290 * int(COVERED.sum())
    monkeypatch.setattr(cell_days, "MAX_FIT_ROWS", size)
    assert fit_sample(history(), 290) is None
    monkeypatch.setattr(cell_days, "MAX_FIT_ROWS", size // 4)
    sample = fit_sample(past, 290)
    assert sample is not None
    assert (np.diff(sample.day) >= 0).all()
    np.testing.assert_array_equal(sample.observed, past.observed[sample.day, sample.cell])
    # All with alerts are there, and the others stand for all others.
    assert sample.observed.sum() == past.observed.sum()
    assert set(sample.sample_weight[sample.observed]) == {1.0}
    assert len(sample.day) == pytest.approx(sample.observed.sum() + (size - sample.observed.sum()) / 4, rel=0.05)
    assert sample.sample_weight.sum() == pytest.approx(size)
    of_first_half = sample.day < 145
    assert sample.sample_weight[of_first_half].sum() == pytest.approx(size / 2, rel=0.03)
    again = fit_sample(history(), 290)
    assert again is not None
    np.testing.assert_array_equal(again.cell, sample.cell)


@pytest.mark.parametrize("name", FITTED_ON_ROWS)
def test_a_fit_on_a_sample_forecasts_as_one_on_all_and_is_calibrated(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, train, validation = history(days=1_200), range(1_000), range(1_000, 1_200)
    whole = validation_of(build(name).fit(past, train, validation, context_of(name)))
    monkeypatch.setattr(cell_days, "MAX_FIT_ROWS", past.observed.size // 2)
    sampled = validation_of(build(name).fit(history(days=1_200), train, validation, context_of(name)))
    observed = past.observed[validation.start :]
    assert sampled.mean() == pytest.approx(whole.mean(), rel=0.04)
    assert sampled.mean() == pytest.approx(observed.mean(), rel=0.1)
    assert log_losses(sampled, observed).mean() < log_losses(whole, observed).mean() + 0.003
    assert np.corrcoef(logit(sampled).ravel(), logit(whole).ravel())[0, 1] > 0.95


def test_the_regression_of_all_cities_takes_a_sample_of_a_fine_grid_too(monkeypatch: pytest.MonkeyPatch) -> None:
    past, whole = history().through(200), SharedRows.of(history().through(200))
    monkeypatch.setattr("shotspotter_assets.models.next_day.shared_regression.MAX_FIT_ROWS", len(whole.observed) // 3)
    fewer = SharedRows.of(past)
    assert fewer.names == whole.names
    assert fewer.observed.sum() == whole.observed.sum()
    assert len(fewer.observed) < len(whole.observed)
    assert fewer.sample_weight.sum() == pytest.approx(whole.sample_weight.sum(), rel=0.15)


def test_a_city_without_a_day_to_learn_from_has_no_rows_and_stops_no_other() -> None:
    assert len(SharedRows.of(history().through(5), first=10).observed) == 0


def fine_history(cells: int = 120, days: int = 200, alerts: int = 60) -> History:
    """A city of `cells` x `cells`, all of them covered, with so many alerts a day, most of them in its middle."""
    city = City.model_validate(CITY.model_dump() | {"grid": {"rows": cells, "columns": cells}})
    random = np.random.default_rng(0)
    place = np.clip(random.normal(cells / 2, cells / 6, (days * alerts, 2)).round().astype(int), 0, cells - 1)
    counts = np.zeros((days, 4, cells, cells), dtype=np.uint16)
    np.add.at(counts, (np.repeat(np.arange(days), alerts), 0, *place.T), 1)
    return History(city, date(2021, 4, 1), counts, np.ones((cells, cells), dtype=bool))


def test_a_fine_grid_is_fitted_without_all_its_inputs_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_days, "MAX_FIT_ROWS", 60_000)
    past = fine_history()
    all_inputs = past.observed.size * len(names_of_inputs(CITY)) * 4
    train, validation = range(190), range(190, 200)
    tracemalloc.start()
    regression = forecaster("regime_regression").fit(past, train, validation)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < all_inputs / 3
    predicted = validation_of(regression)
    assert predicted.sum() == pytest.approx(past.observed[190:].sum(), rel=0.1)
    middle = predicted.mean(axis=0).reshape(120, 120)[50:70, 50:70]
    assert middle.mean() > 5 * predicted.mean()
