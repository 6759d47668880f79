import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.geometry.cells import cell_metres
from shotspotter_assets.geometry.grid import Grid
from shotspotter_assets_tests.quality.sound_city import CITY, firing, sound


def of_cells(metres: float) -> City:
    height, width = cell_metres(CITY)
    rows, columns = round(CITY.grid.rows * height / metres), round(CITY.grid.columns * width / metres)
    return CITY.model_copy(update={"grid": Grid(rows=rows, columns=columns)})


def rounded(decimals: int) -> pd.DataFrame:
    rows = sound(seed=4)
    return rows.assign(longitude=rows["longitude"].round(decimals), latitude=rows["latitude"].round(decimals))


def test_a_default_point_is_found() -> None:
    rows = sound(seed=4)
    at = np.arange(len(rows)) % 15 == 0
    rows = rows.assign(longitude=rows["longitude"].mask(at, -76.85), latitude=rows["latitude"].mask(at, 38.85))
    found = firing(rows)
    assert set(found) == {"points"}
    assert "38.850000, -76.850000" in found["points"].message


def test_cells_of_less_than_two_steps_are_found_with_a_remedy() -> None:
    city = of_cells(120)
    assert set(firing(rounded(3), city)) == {"points"}
    message = firing(rounded(3), city)["points"].message
    assert "ows of 120 m are too narrow for points rounded to 0.001 degrees: use at most 100 rows in grid" in message
    assert "columns of 120 m are too narrow for points rounded to 0.001 degrees: use at most 100 columns" in message
    # The finest grid that it allows is right.
    assert firing(rounded(3), city.model_copy(update={"grid": Grid(rows=99, columns=99)})) == {}


@pytest.mark.parametrize(("decimals", "metres"), [(3, 300), (4, 120), (5, 120), (12, 120)])
def test_exact_points_raise_no_warning(decimals: int, metres: float) -> None:
    assert "points" not in firing(rounded(decimals), of_cells(metres))


def test_a_few_exact_points_do_not_hide_rounded_ones() -> None:
    rows, exact = rounded(3), sound(seed=4)
    for every, fires in ((20, True), (5, False)):
        mixed = rows.mask(pd.Series(np.arange(len(rows)) % every == 0), exact)
        assert ("points" in firing(mixed, of_cells(120))) == fires
