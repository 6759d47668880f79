import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.network_forecaster import mapped_layers
from shotspotter_assets.models.next_day.regime_regression import FitData, fit_regressions
from shotspotter_assets_tests.models.histories import CITY, COVERED, TEST, TRAIN, VALIDATION, build, fitted, history

TINY = {"days": 2, "recurrent_layers": 1, "filters": 2, "epochs": 1, "batch_size": 40, "start": "nothing"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forecast", "layers", "maps"), [((), 4, 4), (("robbery",), 1, 1), (("robbery", "assault"), 2, 3)]
)
def test_there_is_a_map_of_all_that_is_forecast_and_one_of_each_known_type(forecast, layers, maps):
    kinds = {"robbery": ("ROBBERY",), "assault": ("ASSAULT",)}
    city = CityFile.model_validate(
        CITY.model_dump() | {"event_types": kinds, "targets": {"target": forecast or ("gunshots",)}}
    )
    assert len(mapped_layers(city)) == maps - 1
    past = history()
    events = np.zeros((290, 2, *COVERED.shape), np.uint16)
    events[::2, 0, 2, 2] = 1
    events[:, 1, 4, 4] = 1
    past = History(city, past.first_day, np.concatenate([past.counts, events], axis=1), COVERED)
    learns = {"epochs": 15, "learning_rate": 0.03} if maps == 3 else {}
    network = build("conv_lstm", **TINY | learns).fit(past, TRAIN, VALIDATION)
    assert network.models[0].inputs[0].shape[-1] == layers
    probability = network.predict_maps(past, TEST)
    assert probability.shape == (len(TEST), COVERED.sum(), maps)
    np.testing.assert_array_equal(probability[..., 0], network.predict(past, TEST))
    if learns:
        cells = list(zip(*np.nonzero(COVERED), strict=True))
        every_day = probability[:, cells.index((4, 4))].mean(axis=0)
        assert every_day[2] > 0.5 > every_day[1]


@pytest.mark.networks
def test_residual_network_is_no_worse_than_its_regression_on_validation():
    network = fitted("network")
    data = FitData(history().through(VALIDATION.stop), TRAIN, VALIDATION)
    at = data.scoring_days - VALIDATION.start
    observed = data.history.observed[data.scoring_days]
    loss = log_losses(network.validation_probability[at], observed).mean()
    assert loss == pytest.approx(network.chosen["validation_log_loss"], rel=1e-4)
    start = fit_regressions(data).train.logit(data.validation_inputs)[at]
    assert log_losses(expit(start), observed).mean() == pytest.approx(
        network.chosen["regression_validation_log_loss"], rel=1e-4
    )
    assert loss <= network.chosen["regression_validation_log_loss"] * (1 + 1e-6)
    assert 0 < network.share <= 1


@pytest.mark.networks
def test_untrained_it_is_the_regression_that_it_starts_at():
    untrained = build("network", learning_rate=1e-12, class_weight=10).fit(history(), TRAIN, VALIDATION)
    start, added = untrained.parts(history(), TEST)
    np.testing.assert_allclose(added, 0, atol=1e-4)
    assert np.ptp(start) > 1


def test_channels_that_the_city_lacks_are_named():
    with pytest.raises(ValueError, match=r"small_city .* factors"):
        build("network", channels=["factors"]).fit(history(), TRAIN, VALIDATION)


@pytest.mark.networks
def test_a_network_of_locations_alone_learns_which_cells_are_busy():
    past = history()
    counts = np.zeros_like(past.counts)
    counts[:, 0, :, 3:] = 1
    past = History(CITY, past.first_day, counts, COVERED)
    learns = {"channels": ["location"], "start": "nothing", "filters": 8, "dropout": 0, "epochs": 20}
    network = build("network", **learns, learning_rate=0.03).fit(past, TRAIN, VALIDATION)
    is_busy = np.nonzero(COVERED)[1] >= 3
    probability = network.predict(past, TEST)
    assert probability[:, is_busy].min() > 0.5 > probability[:, ~is_busy].max()
    np.testing.assert_array_equal(type(network).load(network.files()).predict(past, TEST), probability)


@pytest.mark.slow
def test_conv_lstm_reads_row_and_column_after_its_other_maps():
    network = build("conv_lstm", channels=["counts", "inputs", "location"]).fit(history(), TRAIN, VALIDATION)
    maps = network.inputs_of(history(), TEST).maps
    assert network.models[0].get_layer("maps").output.shape[-1] == maps.shape[-1] == len(network.names) + 2
    on_grid = np.full((*COVERED.shape, 2), np.nan)
    on_grid[COVERED] = maps[0, :, -2:]
    np.testing.assert_allclose(on_grid[:, 4, 0], np.linspace(-1, 1, 6))
    np.testing.assert_allclose(on_grid[5, :, 1], np.linspace(-1, 1, 5))
