import numpy as np

from shotspotter_assets.models.next_hours.climatology import PSEUDO_DAYS
from shotspotter_assets_tests.models.hours import TEST, history


def test_it_is_the_shrunk_frequency_of_the_hours_before_the_test(baselines):
    observed = history().occupied_within(1)[: TEST.start]
    forecast = baselines["climatology"].predict(history(), history().issues(TEST, 1), 1)
    shrunk = [
        (observed.sum(axis=0) + 24 * days * observed.mean()) / (len(observed) + 24 * days) for days in PSEUDO_DAYS
    ]
    assert any(np.allclose(forecast, frequency, rtol=1e-12) for frequency in shrunk)
