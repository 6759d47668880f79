from datetime import date
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest

from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.estimates import Gain
from shotspotter_assets.evaluation.scores import reliability

BOX = Box(west=-77.05, south=38.81, east=-76.9, north=38.97)
CITY = SimpleNamespace(event="alert", box=BOX, grid=Grid(rows=36, columns=36))
RANDOM = np.random.default_rng(0)
COVERED = RANDOM.random((36, 36)) < 0.5
PROBABILITY = np.clip(RANDOM.gamma(0.5, 0.04, (20, int(COVERED.sum()))), 1e-6, 1)
OBSERVED = (RANDOM.random(PROBABILITY.shape) < PROBABILITY).ravel()
ALERTS = RANDOM.poisson(0.02, (36, 36))
NETWORK = reliability(PROBABILITY.ravel(), OBSERVED)
NEVER = reliability(np.full(OBSERVED.shape, 1e-6), OBSERVED)
UNKNOWN = Gain(None, None, None, 13)
GAIN = Gain(0.02, -0.01, 0.04, 13)
SKEWED = Gain(0.05, 0.06, 0.07, 13)
PLOTS = {
    "forecast": lambda: plots.forecasts_beside_observed(
        CITY, COVERED, {"stack": PROBABILITY[0], "network": PROBABILITY[1]}, ALERTS, "2021-05-01"
    ),
    "quiet day": lambda: plots.forecasts_beside_observed(
        CITY, COVERED, {"m": PROBABILITY[0]}, 0 * ALERTS, "2021-05-01"
    ),
    "types": lambda: plots.alerts_by_type(CITY, dict.fromkeys(("one", "two", "three", "four"), ALERTS), "types"),
    "timeline": lambda: plots.fold_timeline(
        {
            str(year): [date(2014, 1, 1), date(year - 1, 1, 1), date(year, 1, 1), date(year, 12, 31)]
            for year in (2018, 2019)
        }
    ),
    "reliability": lambda: plots.reliability_curve({"network": NETWORK, "never": NEVER}),
    "reliability of nothing": lambda: plots.reliability_curve({"never": NEVER}),
    "gain by fold": lambda: plots.gain_by_fold(
        {f"model {at}": {"2018-01-01": GAIN, "2018-04-01": SKEWED, "2018-07-01": UNKNOWN} for at in range(9)}, "ewma"
    ),
    "gain of nothing": lambda: plots.gain_by_fold({"model": {"2018-01-01": UNKNOWN}}, "ewma"),
}


def image_of(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(BytesIO(png))


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_small_png_with_ink(name):
    png = PLOTS[name]()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 200_000
    image = image_of(png)
    assert image.shape[0] > 200
    assert image[..., :3].std() > 0.02


def test_forecasts_of_a_day_are_drawn_on_one_scale():
    low = np.full(int(COVERED.sum()), 0.01)
    high = np.full(int(COVERED.sum()), 0.2)

    def brightness(name: str, **maps: np.ndarray) -> float:
        png = plots.forecasts_beside_observed(CITY, COVERED, maps, ALERTS, "2021-05-01")
        image = image_of(png)[..., :3]
        third = image.shape[1] // 3
        return image[60:-60, list(maps).index(name) * third :][:, :third].mean()

    assert brightness("a", a=low, b=high) < brightness("a", a=high, b=high) - 0.05


def test_the_timeline_draws_the_days_of_each_window(monkeypatch):
    from matplotlib.dates import date2num

    days = [date(2014, 1, 1), date(2017, 1, 1), date(2018, 1, 1), date(2018, 12, 31)]
    drawn = []
    monkeypatch.setattr(plots, "as_png", drawn.append)
    plots.fold_timeline({"2018-01-01": days})
    bars = drawn[0].axes[0].patches
    assert [bar.get_x() for bar in bars] == date2num(days[:3]).tolist()
    assert bars[-1].get_x() + bars[-1].get_width() == date2num(days[3]) + 1


@pytest.mark.parametrize("row", [0, 9])
def test_maps_put_the_south_below(row):
    values = np.full((10, 10), np.nan)
    values[row] = 1.0
    figure = plots.new_figure(4, 4)
    plots.draw_map(figure.add_subplot(), BOX, values, "Blues", 1.0)
    picture = image_of(plots.as_png(figure))
    upper, lower = (half.sum() for half in np.array_split(picture[..., 2] - picture[..., 0] > 0.1, 2))
    assert (upper == 0) == (row == 0)
    assert (lower == 0) == (row == 9)
