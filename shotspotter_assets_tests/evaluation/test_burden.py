from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.areas import quadrants
from shotspotter_assets.evaluation.burden import burden
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table, with_column

AREAS = quadrants((6, 6))
FORECASTS = forecasts_table(date(2021, 1, 4), 60)


def test_precision_is_what_flagging_the_highest_cells_gives():
    found = burden(FORECASTS, "truth", AREAS)
    p, observed = (FORECASTS[name].to_numpy().reshape(60, 36) for name in ("truth", "observed"))
    top = np.argsort(-p, axis=1)[:, :2]  # 5% of 36 cells
    hits = np.take_along_axis(observed, top, axis=1).sum()
    assert found.flagged_cells_per_day == 2
    assert found.precision == pytest.approx(hits / 120)
    assert found.empty_of_ten == pytest.approx(10 - 10 * hits / 120)
    scores = score_cell_days(p.ravel(), observed.ravel() == 1, p.ravel(), np.repeat(np.arange(60), 36))
    assert found.hit_rate == pytest.approx(scores.hit_rate[5])


def test_shares_by_area_are_those_of_a_count():
    found = burden(FORECASTS, "historical_mean", AREAS, percent=20).by_area
    assert set(found) == {"north-east", "north-west", "south-east", "south-west"}
    for key in ("share_of_covered", "share_of_flagged", "share_of_alerts"):
        assert sum(getattr(area, key) for area in found.values()) == pytest.approx(1)
    p = FORECASTS["historical_mean"].to_numpy().reshape(60, 6, 6)
    flagged = np.zeros((60, 36))
    np.put_along_axis(flagged, np.argsort(-p.reshape(60, 36), axis=1)[:, :7], 1, axis=1)
    observed = FORECASTS["observed"].to_numpy().reshape(60, 6, 6)
    north_west = flagged.reshape(60, 6, 6)[:, 3:, :3]
    assert north_west.sum() > 0
    assert found["north-west"].share_of_flagged == pytest.approx(north_west.sum() / flagged.sum())
    assert found["north-west"].share_of_alerts == pytest.approx(observed[:, 3:, :3].sum() / observed.sum())
    assert found["north-west"].precision == pytest.approx((north_west * observed[:, 3:, :3]).sum() / north_west.sum())


def test_an_area_that_is_never_flagged_has_no_precision():
    p = np.where(FORECASTS["row"].to_numpy() < 3, 0.2, 0.01)
    found = burden(with_column(FORECASTS, "south", p), "south", AREAS).by_area
    assert found["north-east"].precision is None
    assert found["north-east"].share_of_flagged == 0


def test_a_static_map_flags_the_same_cells_every_day():
    found = burden(FORECASTS, "historical_mean", AREAS)
    assert (found.cells, found.cells_never_flagged, found.cells_flagged_almost_always) == (36, 34, 2)
    assert found.longest_run_days == 60
    top = found.top_cell
    mean = FORECASTS["historical_mean"].to_numpy().reshape(60, 6, 6)[0]
    assert mean[top.row, top.column] in np.sort(mean.ravel())[-2:]
    assert top.share_of_days_flagged == 1
    here = FORECASTS["observed"].to_numpy().reshape(60, 6, 6)[:, top.row, top.column]
    assert top.share_of_days_with_alert == pytest.approx(here.mean())


def test_runs_end_where_a_day_is_not_forecast_or_another_cell_is_flagged():
    first = np.datetime64("2021-01-01")
    days = np.array([0, 1, 2, 5, 6, 7, 8])  # the 4th and 5th January were not forecast
    loud = np.array([0, 0, 0, 0, 0, 1, 0])
    p = np.full((7, 2), 0.1)
    p[np.arange(7), loud] = 0.9
    table = pa.table(
        {
            "date": pa.array(np.repeat(first + days, 2), pa.date32()),
            "row": pa.array(np.zeros(14), pa.int16()),
            "column": pa.array(np.tile([0, 1], 7), pa.int16()),
            "observed": pa.array(np.zeros(14), pa.int8()),
            "model": p.ravel(),
        }
    )
    found = burden(table, "model", quadrants((2, 2)))
    assert found.longest_run_days == 3
    assert found.hit_rate is None
    assert found.empty_of_ten == 10


def test_ties_are_flagged_in_part():
    found = burden(FORECASTS, "city_mean", AREAS)
    assert found.precision == pytest.approx(FORECASTS["observed"].to_numpy().mean())
    assert found.flagged_cells_per_day == pytest.approx(2)
    assert found.by_area["south-west"].share_of_flagged == pytest.approx(0.25)
