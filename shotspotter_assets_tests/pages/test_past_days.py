from datetime import timedelta

import pytest

from shotspotter_assets.pages.past_days import NO_PLAN, OUT_OF_REACH, REACHED, past_day, stamps
from shotspotter_assets.storage.catalogue import CLEANED, PLAN, Asset
from shotspotter_assets.storage.lineage import Origin, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, ISSUED, TinySite


@pytest.mark.parametrize(("radius_m", "planned"), [(50_000.0, REACHED), (1.0, OUT_OF_REACH)])
def test_alerts_in_planned_shifts_are_within_reach_or_not(tiny_site: TinySite, radius_m: float, planned: str) -> None:
    patrol = tiny_site.city.patrol.model_copy(update={"radius_m": radius_m})
    day = past_day(tiny_site.store, tiny_site.city.model_copy(update={"patrol": patrol}), tiny_site.last_issued)
    hours = [int(alert["lines"][0][:2]) for alert in day["events"]]
    # The shifts are 6 to 14 and 22 to 6, the latter of the plan of the day before too.
    expected = [NO_PLAN if 14 <= hour < 22 else planned for hour in hours]
    assert [alert["unit"] for alert in day["events"]] == [[unit] for unit in expected]
    assert {NO_PLAN, planned} == set(expected)
    within = sum(unit == REACHED for unit in expected)
    assert f"{within} of {len(hours)} alerts came within {radius_m:.0f} m of a unit" in day["sentence"]


def test_alerts_that_move_within_their_hour_rebuild_the_day(copy: Store, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    before = dict(stamps(copy, tiny_site.city, day))
    record_lineage(copy, Asset.GRID_TENSORS, CITY, {day: Origin("moved alerts")})
    after = dict(stamps(copy, tiny_site.city, day))
    assert [one for one in after if after[one] != before[one]] == [day]
    copy.delete(CLEANED, CITY, day)
    assert day not in dict(stamps(copy, tiny_site.city, day))


def test_a_day_without_a_plan_says_so(copy: Store, tiny_site: TinySite) -> None:
    day = ISSUED + timedelta(days=1)
    before = dict(stamps(copy, tiny_site.city, tiny_site.last_issued))[day]
    copy.delete(PLAN, CITY, ISSUED)
    assert "No plan was made" in past_day(copy, tiny_site.city, day)["sentence"]
    without = tiny_site.city.model_copy(update={"patrol": None})
    assert dict(stamps(copy, without, tiny_site.last_issued))[day] != before
    assert "plan" not in past_day(copy, without, day)["sentence"]
