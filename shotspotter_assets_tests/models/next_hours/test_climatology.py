import numpy as np

from shotspotter_assets_tests.models.hours import TEST, history


def test_it_is_the_shrunk_frequency_of_the_hours_before_the_test(baselines):
    observed = history().occupied_within(1)[: TEST.start]
    climatology = baselines["climatology"]
    pseudo = 24 * climatology.models[1].settings["pseudo_days"]
    expected = (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)
    np.testing.assert_allclose(climatology.predict(history(), history().issues(TEST, 1), 1)[5], expected)
