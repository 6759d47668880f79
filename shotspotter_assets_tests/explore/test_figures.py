"""Figures on a city with districts and streets."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.explore.figures import Ground, alerts_map, forecast_beside_observed, rows_of_period
from shotspotter_assets.explore.stored import NEXT_DAY, alerts_between, fold_table, stored_alerts
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import with_city
from shotspotter_assets_tests.explore.conftest import CITY, FOLD, MODEL
from shotspotter_assets_tests.pages.site_of_tiny_city import layers


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(with_city(CITY, layers=layers(tmp_path_factory.mktemp("layers")))[CITY])


def of_day(explored: Store, ground: Ground, day: date) -> pd.DataFrame:
    city = ground.city
    return alerts_between(stored_alerts(explored, city), city.forecast_codes, np.datetime64(day), 24)


def test_layers_lie_under_the_alerts_and_maps_are_as_long_as_on_the_ground(explored: Store, ground: Ground) -> None:
    figure = alerts_map(ground, of_day(explored, ground, FOLD))
    streets, districts, *points = figure.data
    assert (streets.mode, districts.mode, {trace.mode for trace in points}) == ("lines", "lines", {"markers"})
    # Eight streets and two districts, with gaps between them.
    assert [int(np.isnan(lines.x).sum()) for lines in (streets, districts)] == [7, 1]
    box = ground.city.box
    assert np.nanmin(streets.x) == pytest.approx(box.west, abs=1e-6)
    assert figure.layout.yaxis.scaleratio == pytest.approx(1 / np.cos(np.radians((box.south + box.north) / 2)))


def test_cells_have_the_names_of_their_places(explored: Store, ground: Ground) -> None:
    table = fold_table(explored, ground.city, FOLD, NEXT_DAY)
    assert table is not None
    rows = rows_of_period(table, FOLD, None)
    figure = forecast_beside_observed(ground, rows, MODEL, of_day(explored, ground, FOLD), "a day")
    forecast = figure.data[0]
    words = [word for row in forecast.text for word in row if word]
    assert len(words) == len(rows)
    assert all(" St" in word and "ward " in word and " in " in word for word in words)
    assert {trace.xaxis for trace in figure.data[1:]} == {"x2"}
    observed = int(rows["observed"].to_numpy().sum())
    assert figure.layout.annotations[1].text.endswith(f"in {observed} of these cells")
