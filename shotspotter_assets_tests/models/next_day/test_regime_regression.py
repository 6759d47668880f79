"""The regression, firework days, and a thin city that starts at another city's: when it is taken, and a year of alerts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.cities.city import FIRST_EVENT_CODE
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.gridding.tensors import cells
from shotspotter_assets.models.forecaster import FitContext, OtherInputsError, Pretrained
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import ordinary_days
from shotspotter_assets.models.next_day.regime_regression import (
    FittedRegimeRegression,
    load_regression,
)
from shotspotter_assets.models.next_day.shrunk_regression import INVERSE_PENALTY
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets_tests.models.histories import TEST, TRAIN, VALIDATION, fitted, history
from shotspotter_assets_tests.quality.real_cities import cities, load


def starting_at(pretrained: Pretrained | None, name: str = "regime_regression", city: History | None = None):
    """A forecaster that starts at another city's regression, fitted on `history()` or another one."""
    return forecaster(name).fit(city or history(), TRAIN, VALIDATION, FitContext(pretrained=pretrained))


@pytest.mark.parametrize("name", ["regime_regression", "residual_boosting", "residual_conv_lstm"])
def test_firework_days_are_forecast_from_earlier_ones(name):
    new_year = int(np.flatnonzero(history().days() == np.datetime64("2021-12-31"))[0])
    probability = fitted(name).predict(history(), range(new_year - 1, new_year + 1))
    assert probability[1].mean() > 2 * probability[0].mean()


def test_inputs_of_another_city_are_refused():
    with pytest.raises(OtherInputsError, match="fit it again"):
        fitted("regime_regression").predict(history(evening=False), TEST)


@pytest.fixture(scope="module")
def other() -> FittedRegimeRegression:
    regression = forecaster("regime_regression").fit(history(seed=7), TRAIN, VALIDATION)
    assert "pretrained" not in regression.settings
    return regression


def test_what_fits_is_taken_and_what_does_not_is_not(other):
    started = starting_at(other.as_start("other_city|2022-01-01"))
    assert started.settings["pretrained"] == {"from": "other_city|2022-01-01", "used": True}
    assert started.settings["inverse_penalty"] == INVERSE_PENALTY
    loaded = load_regression(started.files())
    assert loaded.settings == started.settings
    np.testing.assert_allclose(loaded.predict(history(), TEST), started.predict(history(), TEST), rtol=1e-12)

    upside_down = replace(other, weights=-3 * other.weights)
    refused = starting_at(upside_down.as_start("bad|2022-01-01"))
    assert refused.settings["pretrained"] == {"from": "bad|2022-01-01", "used": False}
    alone = fitted("regime_regression")
    np.testing.assert_array_equal(refused.predict(history(), TEST), alone.predict(history(), TEST))


def test_cities_may_differ_in_their_inputs(other):
    """A city that publishes no hours lacks the inputs of evening alerts; the others are matched by name."""
    no_hours = history(evening=False)
    started = starting_at(other.as_start("other_city|2022-01-01"), city=no_hours)
    assert len(started.names) < len(other.names)
    assert started.settings["pretrained"]["used"]
    assert started.predict(no_hours, TEST).shape == (len(TEST), no_hours.in_coverage.sum())


def test_a_start_of_another_version_is_refused(other):
    names = other.names
    renamed = tuple(name.replace("log_shrunk_", "log_") for name in names)
    for old in (renamed, names[:-1]):
        kept = slice(len(old))
        regression = replace(other, names=old, weights=other.weights[kept], scale=other.scale[kept])
        with pytest.raises(
            OtherInputsError, match=r"small_city starts at the model of old_city\|2022-01-01, which was"
        ):
            starting_at(regression.as_start("old_city|2022-01-01"), "residual_boosting")


def test_boosting_starts_on_it_and_records_it(other):
    start = other.as_start("other_city|2022-01-01")
    boosted, regression = starting_at(start, "residual_boosting"), starting_at(start)
    np.testing.assert_array_equal(boosted.regression.weights, regression.weights)
    assert boosted.settings["pretrained"] == regression.settings["pretrained"]


def real_history(data: Path, name: str, days: int, fitted_on: int) -> History:
    """A real city's first days, all alerts of one type, with the coverage of those that are fitted on."""
    read = load(cities()[name], data)
    city, alerts = read.city, read.alerts
    day = (alerts["date"].to_numpy() - np.datetime64(city.start)).astype(np.int64)
    row, column = cells(alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy(), city.box, city.grid)
    counts = np.zeros((days, FIRST_EVENT_CODE, *city.shape), dtype=np.uint16)
    known = day < days
    np.add.at(counts, (day[known], 0, row[known], column[known]), 1)
    return History(city, city.start, counts, estimate_coverage(counts[:fitted_on].sum(axis=1, dtype=np.int64)))


def test_a_year_of_a_real_city_is_worth_more_with_two_of_another(real_data: Path):
    oakland = real_history(real_data, "oakland_ca", 730, 730)
    start = forecaster("regime_regression").fit(oakland, range(620), range(620, 730))
    # Cincinnati's first year, and the half year after it.
    thin = real_history(real_data, "cincinnati_oh", 365 + 184, 365)
    train, validation, test = range(310), range(310, 365), range(365, 365 + 184)
    tested = np.array([day for day in test if ordinary_days(thin)[day]])
    loss = {}
    for pretrained in (None, start.as_start("oakland_ca|2010-01-01")):
        regression = forecaster("regime_regression").fit(thin, train, validation, FitContext(pretrained=pretrained))
        p = regression.predict(thin, test)[tested - test.start]
        loss[pretrained is not None] = log_losses(p, thin.observed[tested]).sum() / thin.observed[tested].sum()
    assert regression.settings["pretrained"]["used"]
    assert loss[True] < loss[False] - 0.02
