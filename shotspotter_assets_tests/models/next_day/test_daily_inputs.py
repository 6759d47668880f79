import numpy as np
import pytest

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.dates import weekdays
from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day import daily_inputs
from shotspotter_assets_tests.models.histories import CITY, COVERED, build, context_of, history


def test_shrunk_rates_are_posterior_means_around_longer_memories():
    past = history(120)
    inputs = daily_inputs.next_day_inputs(past, [120])
    day = 120
    occupied = past.observed[daily_inputs.ordinary_days(past)].astype(float)
    age = day - 1 - np.flatnonzero(daily_inputs.ordinary_days(past))
    rate = np.exp(inputs.values[0, :, inputs.names.index("log_occupied_inf_days_3_cells")].astype(float))
    rate = rate - 1 / 730 + 1 / 2190
    for half_life in ("inf", "365", "120", "30", "7", "2"):
        weight = 2.0 ** (-age / float(half_life))
        rate = rate * (4 + weight @ occupied) / (4 + rate * weight.sum())
        found = inputs.values[0, :, inputs.names.index(f"log_shrunk_occupied_{half_life}_days_4_prior")]
        np.testing.assert_allclose(np.exp(found), rate, rtol=1e-4)


def test_the_weekend_input_compares_days_of_one_kind_with_all_days():
    past = history(120)
    ordinary = daily_inputs.ordinary_days(past)
    age = 119 - np.arange(120)
    occupied = past.observed.astype(float)
    weekend = weekdays(past.days(more=2)) >= 5

    def rate(kept: np.ndarray, day: int) -> np.ndarray:
        weight = 2.0 ** (-age / 730) * kept
        return weight[:day] @ occupied[:day] / weight[:day].sum() + 10 / 730

    for day in range(113, 121):
        inputs = daily_inputs.next_day_inputs(past, [day])
        found = inputs.values[0, :, inputs.names.index("log_same_kind_of_day")]
        expected = np.log(rate(ordinary & (weekend[:120] == weekend[day]), day) / rate(ordinary, day))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_names_show_which_inputs_are_equal_in_all_cells():
    inputs = daily_inputs.next_day_inputs(history(250), range(100, 251))
    same = (np.ptp(inputs.values, axis=1) == 0).all(axis=0)
    assert same.tolist() == [daily_inputs.is_same_for_all_cells(name) for name in inputs.names]


def test_firework_days_leave_the_rates_of_later_days_alone():
    past = history(250)
    fireworks = np.flatnonzero(np.isin(past.days().astype(str), ["2021-07-03", "2021-07-04", "2021-07-05"]))
    counts = past.counts.copy()
    counts[fireworks] = 9
    loud = daily_inputs.next_day_inputs(History(CITY, past.first_day, counts, COVERED), range(250))
    quiet = daily_inputs.next_day_inputs(History(CITY, past.first_day, past.counts, COVERED), range(250))
    at = [name.startswith(("log_occupied", "log_shrunk", "log_city", "log_same")) for name in loud.names]
    np.testing.assert_array_equal(loud.values[:, :, at], quiet.values[:, :, at])


def with_events(forecast: tuple[str, ...], changed_from: int = 200, changed: slice = slice(4, 6)) -> History:
    """Robberies and assaults beside the alerts; some layers are other ones from a day on."""
    past = history(200)
    events = np.random.default_rng(1).poisson(0.1, (200, 2, 6, 5)).astype(np.uint16)
    counts = np.concatenate([past.counts, events], axis=1)
    counts[changed_from:, changed] = 3
    kinds = {"robbery": ("ROBBERY",), "assault": ("ASSAULT",)}
    city = CityFile.model_validate(
        CITY.model_dump() | {"event_types": kinds, "targets": {"target": forecast or ("gunshots",)}}
    )
    return History(city, past.first_day, counts, COVERED)


@pytest.mark.parametrize(
    ("forecast", "layers"), [((), {"robbery", "assault"}), (("assault",), {"gunshots", "robbery"})]
)
def test_events_that_are_counted_and_not_forecast_are_inputs(forecast, layers):
    past = with_events(forecast)
    inputs = daily_inputs.next_day_inputs(past, range(201))
    names = {f"log_nearby_{layer}_{half_life}_days" for layer in layers for half_life in (30, 365)}
    assert {name for name in inputs.names if name.startswith("log_nearby_")} == names
    # Where more of it has been, the input is larger, also in the cells beside.
    recent = inputs.values[200, :, inputs.names.index("log_nearby_robbery_30_days")]
    seen = exponential_mean(past.counts[:, 4][:, COVERED].astype(float), 30, daily_inputs.ordinary_days(past))[200]
    assert np.corrcoef(recent, seen)[0, 1] > 0.5
    others = slice(0, 5) if "gunshots" in layers else slice(4, 6)
    changed = daily_inputs.next_day_inputs(with_events(forecast, 150, others), range(201)).values
    np.testing.assert_array_equal(changed[:151], inputs.values[:151])
    for name in names:
        at = inputs.names.index(name)
        assert (changed[151:, :, at] > inputs.values[151:, :, at]).all()


def test_outages_are_long_silences_found_without_looking_ahead():
    counts = np.zeros((150, 4, 6, 5), np.uint16)
    counts[:, 0, 3, 3] = 2
    counts[20:23] = 0
    counts[40:80] = 0
    ordinary = daily_inputs.ordinary_days(History(CITY, history().first_day, counts, COVERED))
    assert ordinary[:53].all()
    assert not ordinary[54:80].any()
    assert ordinary[80:92].all()


def test_fine_grid_is_fitted_on_all_alerts_and_a_draw_of_the_rest(monkeypatch):
    past = history()
    days = np.arange(290)
    whole = daily_inputs.rows_to_fit(past, days)
    assert whole.sample_weight is None
    size = past.observed.size
    assert len(whole.day) == size
    monkeypatch.setattr(daily_inputs, "MAX_FIT_ROWS", size // 4)
    rows = daily_inputs.rows_to_fit(past, days)
    assert rows.observed.sum() == past.observed.sum()
    assert set(rows.sample_weight[rows.observed]) == {1.0}
    assert len(rows.day) == pytest.approx(rows.observed.sum() + (size - rows.observed.sum()) / 4, rel=0.05)
    assert rows.sample_weight.sum() == pytest.approx(size)
    np.testing.assert_array_equal(daily_inputs.rows_to_fit(history(), days).values, rows.values)
    early = rows.on(np.arange(100, 145))
    assert (early.day[0], early.day[-1]) == (100, 144)
    every = daily_inputs.next_day_inputs(past, range(290)).values
    np.testing.assert_allclose(
        early.values[early.observed], every[100:145][past.observed[100:145]], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["regime_regression", "gradient_boosting"])
def test_a_fit_on_a_draw_forecasts_as_one_on_all_and_is_calibrated(name, monkeypatch):
    past = history(days=1_200)
    train = range(1_000)
    validation = range(1_000, 1_200)
    whole = build(name).fit(past, train, validation, context_of(name)).validation_probability
    monkeypatch.setattr(daily_inputs, "MAX_FIT_ROWS", past.observed.size // 2)
    again = build(name).fit(history(days=1_200), train, validation, context_of(name))
    drawn = again.validation_probability
    observed = past.observed[validation.start :]
    assert drawn.mean() == pytest.approx(whole.mean(), rel=0.04)
    assert log_losses(drawn, observed).mean() < log_losses(whole, observed).mean() + 0.003
    assert np.corrcoef(np.log(drawn).ravel(), np.log(whole).ravel())[0, 1] > 0.95
