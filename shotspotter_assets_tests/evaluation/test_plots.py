from datetime import date, timedelta
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from shotspotter_assets.cities.city import Box
from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.plots import (
    FoldWindows,
    coverage_grid,
    forecast_beside_observed,
    gain_by_fold,
    hit_rate_against_area,
    reliability_curve,
    walk_forward_windows,
)
from shotspotter_assets_tests.evaluation.forecasts import score_days

BOX = Box(west=-77.05, south=38.81, east=-76.9, north=38.97)
RANDOM = np.random.default_rng(0)
COVERED = RANDOM.random((36, 36)) < 0.5
PROBABILITY = np.clip(RANDOM.gamma(0.5, 0.04, (20, int(COVERED.sum()))), 1e-6, 1)
OBSERVED = RANDOM.random(PROBABILITY.shape) < PROBABILITY
ALERTS = RANDOM.poisson(0.02, (36, 36))


def fold(number: int) -> FoldWindows:
    cutoff = date(2021, 1, 1) + timedelta(days=91 * number)
    return FoldWindows(
        str(cutoff),
        (date(2019, 1, 1), cutoff - timedelta(days=101)),
        (cutoff - timedelta(days=100), cutoff - timedelta(days=1)),
        (cutoff, cutoff + timedelta(days=90)),
    )


def scored(*forecasts: np.ndarray) -> dict:
    return {f"model {at}": score_days(p, OBSERVED, PROBABILITY) for at, p in enumerate(forecasts)}


NEVER = np.full(PROBABILITY.shape, 1e-6)
UNKNOWN, GAIN, SKEWED = (
    Gain(*ends, level=0.9, weeks=13, draws=1000)
    for ends in ((None, None, None), (0.02, -0.01, 0.04), (0.05, 0.06, 0.07))
)
PLOTS = {
    "coverage": lambda: coverage_grid(COVERED, BOX, 50 * ALERTS),
    "nothing covered": lambda: coverage_grid(np.zeros((4, 4), dtype=bool), BOX, np.zeros((4, 4), dtype=int)),
    "forecast": lambda: forecast_beside_observed(PROBABILITY[0], ALERTS, COVERED, BOX, day=date(2021, 5, 1), model="m"),
    "quiet day": lambda: forecast_beside_observed(
        PROBABILITY[0], np.zeros_like(ALERTS), COVERED, BOX, day=date(2021, 5, 1), model="m"
    ),
    "windows": lambda: walk_forward_windows([fold(number) for number in range(8)]),
    "reliability": lambda: reliability_curve({"network": PROBABILITY, "never": NEVER}, OBSERVED),
    "reliability of nothing": lambda: reliability_curve({"never": NEVER}, OBSERVED),
    "gain by fold": lambda: gain_by_fold(
        {f"model {at}": {"2018-01-01": GAIN, "2018-04-01": SKEWED, "2018-07-01": UNKNOWN} for at in range(9)}, "ewma"
    ),
    "gain of nothing": lambda: gain_by_fold({"model": {"2018-01-01": UNKNOWN}}, "ewma"),
    "hit rate": lambda: hit_rate_against_area(scored(PROBABILITY, NEVER, *[RANDOM.random(NEVER.shape)] * 8)),
}


@pytest.mark.parametrize("name", PLOTS)
def test_is_a_small_png_with_something_on_it(name):
    png = PLOTS[name]()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 200_000
    image = imread(BytesIO(png))
    assert image.shape[0] > 200
    assert image[..., :3].std() > 0.02


def test_maps_put_the_south_below():
    def ink(row: int) -> tuple[float, float]:
        in_coverage = np.zeros((10, 10), dtype=bool)
        in_coverage[row] = True
        picture = imread(BytesIO(coverage_grid(in_coverage, BOX, np.full((10, 10), 2))))
        picture = picture[:, : int(0.7 * picture.shape[1])]  # without the scale beside the map
        blue = picture[..., 2] - picture[..., 0] > 0.1
        upper, lower = np.array_split(blue, 2)
        return float(upper.sum()), float(lower.sum())

    upper, lower = ink(0)
    assert upper == 0 < lower
    upper, lower = ink(9)
    assert lower == 0 < upper
