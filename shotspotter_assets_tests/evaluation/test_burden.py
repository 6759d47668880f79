from datetime import date

import numpy as np
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


def test_a_static_map_flags_the_same_cells_every_day():
    found = burden(FORECASTS, "historical_mean", AREAS)
    assert (found.cells, found.cells_never_flagged, found.cells_flagged_almost_always) == (36, 34, 2)


def test_without_alerts_all_flags_are_empty():
    silent = with_column(FORECASTS, "observed", np.zeros(len(FORECASTS), dtype=np.int8))
    found = burden(silent, "truth", AREAS)
    assert (found.hit_rate, found.empty_of_ten) == (None, 10)


def test_ties_are_flagged_in_part():
    found = burden(FORECASTS, "city_mean", AREAS)
    assert found.precision == pytest.approx(FORECASTS["observed"].to_numpy().mean())
    assert found.flagged_cells_per_day == pytest.approx(2)
    assert found.by_area["south-west"].share_of_flagged == pytest.approx(0.25)
