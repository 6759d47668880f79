import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.models.forecaster import FitContext, OtherInputsError, SharedStart, log_losses
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import is_same_for_all_cells, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.firework_days import firework_probability
from shotspotter_assets.models.next_day.regime_regression import FittedRegression, main_drivers, phrase_of
from shotspotter_assets_tests.models.histories import (
    CITY,
    COVERED,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    fitted,
    history,
    shared_start,
)


def starting_at(shared: SharedStart | None, name: str = "regime_regression", city: History | None = None):
    """A forecaster that starts at the regression of all cities, fitted on `history()` or another one."""
    return forecaster(name).fit(city or history(), TRAIN, VALIDATION, FitContext(shared=shared))


@pytest.mark.parametrize("name", ["regime_regression", "residual_boosting"])
def test_firework_days_are_forecast_from_earlier_ones(name):
    new_year = int(np.flatnonzero(history().days() == np.datetime64("2021-12-31"))[0])
    probability = fitted(name).predict(history(), range(new_year - 1, new_year + 1))
    assert probability[1].mean() > 2 * probability[0].mean()


def test_inputs_of_another_city_are_refused():
    with pytest.raises(OtherInputsError, match="fit it again"):
        fitted("regime_regression").predict(history(evening=False), TEST)


def test_its_weights_lie_between_its_own_and_those_of_all_cities():
    alone = fitted("regime_regression")
    started = starting_at(shared_start())
    assert "shared" not in alone.chosen
    shared = np.array([shared_start().slopes.get(name, 0.0) for name in alone.names])

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.abs((first - second) * alone.scale).sum())

    assert 0 < distance(started.slopes, shared) < distance(alone.slopes, shared)
    loaded = FittedRegression.load(started.files())
    assert loaded.chosen == started.chosen
    np.testing.assert_allclose(loaded.predict(history(), TEST), started.predict(history(), TEST), rtol=1e-12)


def test_cities_may_differ_in_their_inputs():
    """A city that publishes no hours lacks the inputs of evening alerts; the others are matched by name."""
    no_hours = history(evening=False)
    started = starting_at(shared_start(), city=no_hours)
    assert len(started.names) < len(fitted("regime_regression").names)
    assert started.predict(no_hours, TEST).shape == (len(TEST), no_hours.in_coverage.sum())


@pytest.mark.parametrize("name", ["residual_boosting", "regime_regression"])
def test_a_start_with_other_inputs_is_refused(name):
    slopes = shared_start().slopes
    renamed = {name.replace("log_shrunk_", "log_"): slope for name, slope in slopes.items()}
    says = r"small_city starts at the model of all-cities\|2022-01-01, which was"
    for old in (renamed, dict(list(slopes.items())[:-1])):
        with pytest.raises(OtherInputsError, match=says):
            starting_at(shared_start().model_copy(update={"slopes": old}), name)


def test_without_a_model_of_all_cities_its_forecaster_says_what_to_do():
    with pytest.raises(ValueError, match=r"small_city.*shared_models"):
        starting_at(None, "new_city")


def test_boosting_starts_on_it_and_records_it():
    boosted = starting_at(shared_start(), "residual_boosting")
    regression = starting_at(shared_start())
    np.testing.assert_array_equal(boosted.regression.slopes, regression.slopes)
    assert boosted.chosen["shared"] == regression.chosen["shared"]


def renewing() -> History:
    """A city whose cells have no risk that only rises or only falls with the days since their last alert."""
    random = np.random.default_rng(0)
    counts = np.zeros_like(history().counts)
    since = np.full(COVERED.shape, 2)
    for day in counts:
        day[0] = COVERED & (random.random(COVERED.shape) < np.where(since == 4, 0.7, 0.05))
        since = np.where(day[0] > 0, 1, since + 1)
    return History(CITY, FIRST_DAY, counts, COVERED)


def test_trees_learn_from_inputs_of_cells_what_the_regression_misses():
    past = renewing()
    boosting = forecaster("residual_boosting").fit(past, TRAIN, VALIDATION)
    ordinary = ordinary_days(past)[VALIDATION.start : VALIDATION.stop]
    observed = past.observed[VALIDATION.start : VALIDATION.stop][ordinary]
    loss = log_losses(boosting.validation_probability[ordinary], observed).mean()
    assert loss < boosting.regression.chosen["validation_log_loss"]
    assert boosting.chosen["validation_log_loss"] == pytest.approx(loss)
    assert boosting.chosen["trees"] == boosting.trees.num_trees() > 0
    seen = boosting.trees.feature_name()
    assert "log_days_since_last_alert_here" in seen
    assert not [name for name in seen if is_same_for_all_cells(name)]


def test_its_reasons_are_those_of_the_regression_and_means_have_none():
    boosting = fitted("residual_boosting")
    assert boosting.drivers(history(), 270) == boosting.regression.drivers(history(), 270)
    assert fitted("ewma").drivers(history(), 270) is None


def alternating(evening: bool = False) -> History:
    counts = np.zeros((200, 4, *COVERED.shape), dtype=np.int64)
    counts[::2, 0, 1, 1] = 1
    return History(CITY, FIRST_DAY, counts, COVERED, np.zeros((200, *COVERED.shape)) if evening else None)


def test_drivers_are_what_is_unlike_the_average_cell() -> None:
    inputs = next_day_inputs(alternating(), [200])
    name = "log_occupied_inf_days_0_cells"
    drivers = main_drivers(inputs, np.array([1.0 if other == name else 0.0 for other in inputs.names]))
    loud = [tuple(cell) for cell in np.argwhere(COVERED)].index((1, 1))
    values = inputs.values[0, :, inputs.names.index(name)]
    factor = np.exp(values[loud] - values.mean())
    assert drivers[loud] == (f"{{event}}s here over the years (odds x{factor:.1f})",)
    assert all(phrases == () for cell, phrases in enumerate(drivers) if cell != loud)


def test_only_cells_with_alerts_are_told_that_they_have_some_here() -> None:
    """Of nearly equal rates some have weights below zero, which lift the odds of cells without alerts."""
    inputs = next_day_inputs(alternating(evening=True), [200])
    loud = [tuple(cell) for cell in np.argwhere(COVERED)].index((1, 1))
    told = [
        cell
        for seed in range(50)
        for cell, reasons in enumerate(main_drivers(inputs, np.random.default_rng(seed).normal(size=len(inputs.names))))
        if any(reason.startswith("{event}s here") for reason in reasons)
    ]
    assert set(told) == {loud}


def test_reasons_name_a_time_that_their_inputs_remember() -> None:
    """A cell whose only alerts lie years back has none "in recent months", and its rates of all years say so."""
    counts = np.zeros((1000, 4, *COVERED.shape), dtype=np.int64)
    counts[:60:2, 0, 1, 1] = 1
    counts[::3, 0, 1, 0] = 1
    inputs = next_day_inputs(History(CITY, FIRST_DAY, counts, COVERED), [1000])
    cells = [tuple(cell) for cell in np.argwhere(COVERED)]
    long_ago = inputs.values[0, cells.index((1, 1))]
    never = inputs.values[0, cells.index((3, 3))]
    phrases = [phrase_of(name) or "" for name in inputs.names]
    recent = [at for at, phrase in enumerate(phrases) if "here in recent months" in phrase]
    assert np.abs(long_ago - never)[recent].max() < 0.05
    shrunk = [at for at, name in enumerate(inputs.names) if name.startswith("log_shrunk_")]
    assert {phrases[at] for at in shrunk} == {"{event}s here over the years"}
    assert not any("weeks" in phrase for phrase in phrases)


def test_every_input_that_cells_differ_in_has_words() -> None:
    inputs = next_day_inputs(alternating(evening=True), [200])
    for at, name in enumerate(inputs.names):
        difference = inputs.values[0, :, at] - inputs.values[0, :, at].mean()
        if is_same_for_all_cells(name) or not difference.any():
            continue
        assert phrase_of(name), name


EVERYWHERE = np.ones((6, 6), dtype=bool)
LOGIT = np.linspace(-5, -2, 36)


def observed(level: float, days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((days, 36)) < expit(LOGIT + level)


def days(*names: str) -> np.ndarray:
    return np.array(names, dtype="datetime64[D]")


def forecast(day: str, past: np.ndarray, happened: np.ndarray) -> np.ndarray:
    logits = np.broadcast_to(LOGIT, happened.shape)
    return firework_probability(np.datetime64(day), LOGIT, past, logits, happened, EVERYWHERE)


def test_a_level_that_fell_falls_in_the_forecast():
    past = days("2018-07-04", "2019-07-04", "2020-07-04")
    happened = np.concatenate([observed(4, 1), observed(4, 1, 1), observed(4, 1, 2)])
    fallen = np.concatenate([observed(4, 2), observed(-1, 1, 2)])
    assert forecast("2021-07-04", past, fallen).mean() < forecast("2021-07-04", past, happened).mean()


def test_new_year_keeps_its_level_where_summer_lost_its_own():
    past = days(*(f"{year}-{day}" for year in range(2016, 2020) for day in ("07-04", "07-05", "12-31")))
    levels = [0 if in_july and at >= 6 else 4 for at, in_july in enumerate([True, True, False] * 4)]
    happened = np.concatenate([observed(level, 1, at) for at, level in enumerate(levels)])
    new_year = forecast("2020-01-01", past, happened)
    july = forecast("2020-07-03", past, happened)
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
