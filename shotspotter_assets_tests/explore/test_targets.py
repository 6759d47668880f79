from shotspotter_assets.explore.targets import ALL_ALERTS, targets_of, with_target
from shotspotter_assets_tests.defs.chain import CITIES

CITY = CITIES["tiny_city"]
WITH_EVENTS = CITY.model_copy(update={"event_types": {"robbery": ("Robbery",)}, "forecast": ("robbery",)})


def test_all_alerts_and_every_type_can_be_forecast() -> None:
    assert {target.name: target.codes for target in targets_of(CITY)} == {
        ALL_ALERTS: (0, 1, 2, 3),
        "single gunshot": (0,),
        "multiple gunshots": (1,),
        "gunshot or firecracker": (2,),
    }


def test_what_the_file_forecasts_comes_first() -> None:
    names = [target.name for target in targets_of(WITH_EVENTS)]
    assert names[:2] == ["robbery", ALL_ALERTS]
    assert len(names) == len(set(names)) == 5


def test_a_city_is_handled_as_if_its_file_forecast_the_target() -> None:
    own, *_, robbery = targets_of(CITY.model_copy(update={"event_types": {"robbery": ("Robbery",)}}))
    assert with_target(CITY, own) is CITY
    changed = with_target(CITY, robbery)
    assert changed.forecast_codes == (4,)
    assert (changed.name, changed.grid, changed.source) == (CITY.name, CITY.grid, CITY.source)
