from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.city_factors import CellInput, CityFactors, SeriesInput
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day import regime_regression
from shotspotter_assets.models.next_day.daily_inputs import is_same_for_all_cells, names_of_inputs, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import phrase_of
from shotspotter_assets.models.next_day.shared_regression import SharedRows, fit_shared
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY, TEST, TRAIN, VALIDATION, build, history

POVERTY = "factor_poverty_rate"
HEAT = "series_heat_0_days_late"
BY_CELL = np.arange(30.0).reshape(6, 5)
SETTINGS = {"path": Path("none"), "known_from": FIRST_DAY}
FACTORS = {
    "poverty": {"kind": "polygons", "column": "poverty", "figure": "rate", **SETTINGS},
    "heat": {"kind": "series", "column": "heat", **SETTINGS},
}
TOWN = CityFile.model_validate(CITY.model_dump() | {"source": {"kind": "simulated"}, "factors": FACTORS})


def at(day: int) -> date:
    return FIRST_DAY + timedelta(days=day)


PUBLISHED = at(100)


def history_with(
    known_from: date = PUBLISHED, by_cell: np.ndarray = BY_CELL, by_day: np.ndarray | None = None, days_late: int = 0
) -> History:
    """`history()` of a town with poverty by cell, and heat by day from its first day on."""
    past = history()
    heat = np.sin(np.arange(290.0)) if by_day is None else by_day
    series = SeriesInput(HEAT, known_from, past.days(), heat, days_late)
    return replace(past, city=TOWN, factors=CityFactors((CellInput(POVERTY, known_from, by_cell),), (series,)))


def inputs(past: History, name: str, days: range = range(291)) -> np.ndarray:
    made = next_day_inputs(past, days)
    return made.values[:, :, made.names.index(name)]  # no data frame


def test_places_enter_a_day_after_publication_relative_to_the_mean_cell() -> None:
    past = history_with()
    poverty = inputs(past, POVERTY)
    assert not poverty[:101].any()
    before = np.cumsum(past.observed, axis=0)[100:]
    expected = (BY_CELL[COVERED] - BY_CELL[COVERED].mean()) / (1 + before)
    np.testing.assert_allclose(poverty[101:], expected, atol=1e-5)


def test_with_a_lead_the_publication_must_be_earlier_by_it() -> None:
    late = replace(history_with(), lead=3)
    assert not inputs(late, POVERTY)[:103].any()
    assert inputs(late, POVERTY)[103].any()
    np.testing.assert_allclose(inputs(late, HEAT)[150:291], inputs(history_with(), HEAT)[148:289])


def test_a_cell_of_which_nothing_is_known_is_an_average_one() -> None:
    unknown = BY_CELL.copy()
    unknown[5] = np.nan
    (factor,) = history_with(by_cell=unknown).factors.of_cells
    poverty = factor.inputs(np.array([at(101)], dtype="datetime64[D]"), COVERED)[0]
    assert not poverty[-5:].any()
    assert poverty[:-5].mean() == pytest.approx(0, abs=1e-9)
    assert not inputs(history_with(by_cell=np.full((6, 5), np.nan)), POVERTY).any()


def test_a_series_enters_as_its_newest_value_relative_to_earlier_ones() -> None:
    heat = np.sin(np.arange(290.0))
    made = inputs(history_with(), HEAT)
    assert not made[:101].any()
    for day in (101, 200, 290):
        assert made[day, 0] == pytest.approx(heat[day - 1] - heat[:day].mean(), abs=1e-5)
    later = heat.copy()
    later[199:] = 9
    np.testing.assert_array_equal(inputs(history_with(by_day=later), HEAT)[:200], made[:200])
    assert is_same_for_all_cells(HEAT)


def test_a_late_series_is_used_late_and_a_forecast_is_used_for_its_day() -> None:
    made = inputs(history_with(), HEAT)
    np.testing.assert_array_equal(inputs(history_with(days_late=5), HEAT)[110:291], made[105:286])
    np.testing.assert_array_equal(inputs(history_with(days_late=-1), HEAT)[110:290], made[111:291])
    # The day after its last one is not known.
    assert not inputs(history_with(days_late=-1), HEAT)[290].any()


def test_names_follow_from_the_citys_file_and_have_words() -> None:
    assert names_of_inputs(TOWN) == next_day_inputs(history_with(), [1]).names
    assert {POVERTY, HEAT} <= set(names_of_inputs(TOWN))
    assert phrase_of(POVERTY) == "poverty rate"
    assert phrase_of(HEAT) is None


def test_models_are_fitted_on_the_factors_known_on_each_day() -> None:
    fitted_on = history_with().data_sha256(250)
    assert history_with(by_cell=BY_CELL + 1).data_sha256(250) != fitted_on
    assert replace(history_with(), counts=history().counts + np.uint8(1)).data_sha256(250) != fitted_on
    heat = np.sin(np.arange(290.0))
    assert history_with(by_day=np.where(np.arange(290) >= 250, 9.0, heat)).data_sha256(250) == fitted_on
    assert history_with(by_day=np.where(np.arange(290) >= 249, 9.0, heat)).data_sha256(250) != fitted_on
    assert history_with(at(250)).data_sha256(250) == history_with(at(250), BY_CELL + 1).data_sha256(250)


@pytest.mark.parametrize("name", ["regime_regression", "residual_boosting"])
def test_noise_in_a_factor_published_after_the_cutoff_changes_no_forecast(name: str) -> None:
    def forecast(known_from: date, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        noisy = history_with(known_from, random.normal(size=(6, 5)), random.normal(size=290))
        return build(name).fit(noisy, TRAIN, VALIDATION).predict(noisy, TEST)

    # Published on the last day before the cutoff: known from the cutoff on.
    published = at(VALIDATION.stop - 1)
    np.testing.assert_array_equal(forecast(published, 1), forecast(published, 2))
    assert np.abs(forecast(PUBLISHED, 1) - forecast(PUBLISHED, 2)).max() > 1e-3


def test_cities_share_weights_of_factors_of_one_name_and_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    cutoff = at(VALIDATION.stop)
    past = history().through(VALIDATION.stop)
    usual = past.observed.mean(axis=0)
    telling = np.zeros((6, 5))
    telling[COVERED] = np.log(usual + 0.01)
    rows = {
        "with": SharedRows.of(history_with(at(60), telling).through(VALIDATION.stop)),
        "without": SharedRows.of(history(seed=3).through(VALIDATION.stop)),
    }
    models = fit_shared(rows, cutoff)
    assert models.everyone.slopes[POVERTY] > 0
    assert models.without["with"].slopes.keys() == models.everyone.slopes.keys()
    assert models.without["with"].slopes[POVERTY] == pytest.approx(0, abs=1e-9)
    start = models.start_of("without", "all-cities")
    # A city that lacks the factor starts at the rest; one that has it starts at its slope.
    build("regime_regression").fit(history(), TRAIN, VALIDATION, FitContext(shared=start))
    monkeypatch.setattr(regime_regression, "SHARED_VARIANCE", 1e-9)
    silent_factor = history_with(at(60), telling, np.full(290, np.nan))
    without_slope = start.model_copy(update={"slopes": {**start.slopes, POVERTY: 0.0}})
    own, other = (
        build("regime_regression").fit(silent_factor, TRAIN, VALIDATION, FitContext(shared=shared))
        for shared in (start, without_slope)
    )
    number = own.names.index(POVERTY)
    # Its own alerts move it, and leave the weights of all other inputs.
    moved = (own.slopes - other.slopes) * own.scale
    kept = moved[number] / (start.slopes[POVERTY] * own.scale[number])
    assert 0 < kept < 1
    np.testing.assert_allclose(np.delete(moved, number), 0, atol=1e-5)
