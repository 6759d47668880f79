"""Which cities may have nowcasts by themselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CITY

AT_ONCE = {"publication": {"days_late": 0}}


def city(**changes: Any) -> City:
    return City.model_validate(CITY.model_dump(mode="json") | changes)


def test_a_source_that_gives_alerts_at_once_may_be_asked_every_half_minute() -> None:
    rules = city(**AT_ONCE, nowcasts={"every_seconds": 30}).nowcasts
    assert rules is not None
    assert rules.every_seconds == 30
    assert city().nowcasts is None
    with pytest.raises(ValidationError, match="greater than or equal to 30"):
        city(**AT_ONCE, nowcasts={"every_seconds": 29})


@pytest.mark.parametrize("publication", [{}, {"days_late": 1}, {"days_late": 0, "every": "week"}])
def test_a_source_that_may_be_late_has_no_nowcasts(publication: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"write publication: \{days_late: 0\}"):
        city(publication=publication, nowcasts={})


def test_a_city_without_times_has_no_nowcasts() -> None:
    with pytest.raises(ValidationError, match="time_precision is hour"):
        city(**AT_ONCE, time_precision="hour", nowcasts={})
