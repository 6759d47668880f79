import numpy as np

from shotspotter_assets.gridding.coverage import estimate_coverage


def test_covers_cells_with_enough_alerts_over_all_days():
    daily = np.zeros((4, 2, 3), dtype=np.uint16)
    daily[0, 0, 0], daily[3, 0, 0] = 1, 2  # three alerts on two days
    daily[:2, 1, 2] = 1  # two alerts
    assert estimate_coverage(daily).tolist() == [[True, False, False], [False, False, False]]
    assert estimate_coverage(daily, minimum_alerts=2).tolist() == [[True, False, False], [False, False, True]]


def test_does_not_overflow_the_type_of_its_counts():
    assert estimate_coverage(np.full((2, 1, 1), 128, dtype=np.uint8)).all()
