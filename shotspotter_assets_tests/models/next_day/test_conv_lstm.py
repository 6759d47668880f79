import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.conv_lstm import own_maps
from shotspotter_assets_tests.models.histories import CITY, COVERED, TEST, TRAIN, VALIDATION, build, history

TINY = {"days": 4, "recurrent_layers": 2, "filters": 2, "epochs": 1, "batch_size": 40}


def test_a_stored_network_forecasts_the_same_with_the_settings_that_it_was_fitted_with():
    fitted = build("conv_lstm", **TINY).fit(history(), TRAIN, VALIDATION)
    again, days = build("conv_lstm").load(fitted.files()), range(TEST.start, TEST.start + 3)
    assert again.config == fitted.config
    np.testing.assert_array_equal(again.predict(history(), days), fitted.predict(history(), days))


@pytest.mark.parametrize(
    ("forecast", "layers", "maps"), [((), 4, 4), (("robbery",), 1, 1), (("robbery", "assault"), 2, 3)]
)
def test_there_is_a_map_of_all_that_is_forecast_and_one_of_each_known_type(forecast, layers, maps):
    kinds = {"robbery": ("ROBBERY",), "assault": ("ASSAULT",)}
    city = City.model_validate(CITY.model_dump() | {"event_types": kinds, "forecast": forecast})
    assert len(own_maps(city)) == maps - 1
    past = history()
    events = np.zeros((290, 2, *COVERED.shape), np.uint16)
    events[::2, 0, 2, 2] = 1
    events[:, 1, 4, 4] = 1
    past = History(city, past.first_day, np.concatenate([past.counts, events], axis=1), COVERED)
    learns = {"epochs": 15, "learning_rate": 0.03} if maps == 3 else {}
    fitted = build("conv_lstm", **TINY | learns).fit(past, TRAIN, VALIDATION)
    assert fitted.model.input_shape[-1] == layers
    probability = fitted.predict_maps(past, TEST)
    assert probability.shape == (len(TEST), COVERED.sum(), maps)
    np.testing.assert_array_equal(probability[..., 0], fitted.predict(past, TEST))
    if learns:
        cells = list(zip(*np.nonzero(COVERED), strict=True))
        every_day = probability[:, cells.index((4, 4))].mean(axis=0)
        assert every_day[2] > 0.5 > every_day[1]
