import numpy as np

from shotspotter_assets_tests.models.histories import TEST, TRAIN, VALIDATION, build, history

TINY = {"days": 4, "recurrent_layers": 2, "filters": 2, "epochs": 1, "batch_size": 40}


def test_a_stored_network_forecasts_the_same_with_the_settings_that_it_was_fitted_with():
    fitted = build("conv_lstm", **TINY).fit(history(), TRAIN, VALIDATION)
    again, days = build("conv_lstm").load(fitted.files()), range(TEST.start, TEST.start + 3)
    assert again.config == fitted.config
    np.testing.assert_array_equal(again.predict(history(), days), fitted.predict(history(), days))
