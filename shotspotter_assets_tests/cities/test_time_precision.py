"""Spans that a city's times cannot tell apart are refused."""

import pytest

from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.cities.time_precision import TimePrecisionError, require_precision
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")


@pytest.mark.parametrize(("precision", "hours"), [("second", 0.1), ("hour", 1), ("hour", 6), ("day", 24), ("day", 168)])
def test_long_enough(precision: str, hours: float) -> None:
    require_precision(CITY.model_copy(update={"time_precision": precision}), hours)


@pytest.mark.parametrize(("precision", "hours"), [("hour", 0.5), ("day", 1), ("day", 23)])
def test_too_short(precision: str, hours: float) -> None:
    with pytest.raises(TimePrecisionError, match=rf"landing_city: spans of {hours} h .*time_precision: {precision}"):
        require_precision(CITY.model_copy(update={"time_precision": precision}), hours)
