from html import unescape
from pathlib import Path

import dagster as dg

from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.forecasts.approval import WaitingModels
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, IssueRecord, load_record
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.pages.rendering import plain
from shotspotter_assets_tests.automation.conftest import START, TODAY, YESTERDAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, noon, row
from shotspotter_assets_tests.automation.statements import Said


def test_an_automated_city_settles_while_models_wait_and_once_approved(tmp_path: Path) -> None:
    town = LivingCity(tmp_path / "town", START, noon(TODAY))

    def issued() -> IssueRecord:
        return load_record(town.store, NAME, TODAY)

    def waiting() -> WaitingModels | None:
        return WaitingModels.find(town.store, NAME, TODAY)

    town.write_city_file(more="approval: person\n")
    town.land("history.csv", *(row(day, day.day, place=day.day) for day in days_between(START, YESTERDAY)))
    town.settle(checks=False)
    first = waiting().models
    assert ServingRecord.find(town.store, NAME, TODAY) is None
    assert issued().no_forecast == f"No forecast is issued. {waiting().reason}"
    status = town.command("status", NAME)
    assert status.count(waiting().text) == 1
    assert f"  no forecast       {TODAY}: models wait for approval" in status
    assert plain(waiting().text) in unescape(Said(town).page)

    of_today = {"dagster/partition": str(TODAY)}
    launch = dg.RunRequest(asset_selection=[dg.AssetKey([NAME, "live_models"])], tags=of_today)
    assert not town.run(launch, {"live_models": {"approve": "gone"}})
    assert not town.run(launch, {"live_models": {"approve": first.version}})
    assert town.command("approve", NAME) == f"{waiting().reason}\n"
    said = town.command("approve", NAME, "gone", "--by", "A. Smith", code=1)
    assert said.count("\n") == 1
    assert f"no models of version gone wait for approval; those of {first.version} do" in said
    assert f"models {first.version} were approved by A. Smith" in town.command("approve", NAME, "--by", "A. Smith")
    assert town.command("approve", NAME, code=1) == f"Error: City {NAME}: no models wait for approval.\n"
    town.settle(checks=False)
    assert waiting() is None
    assert isinstance(issued(), ForecastRecord)
    assert "A. Smith" in " ".join(issued().why_served)
    for shown in (town.command("status", NAME), unescape(Said(town).page)):
        assert "A. Smith" in shown

    town.land("late.csv", row(YESTERDAY, 50))
    town.settle(checks=False)
    second = waiting().models
    assert second.version != ServingRecord.load(town.store, NAME, TODAY).version == first.version
    assert second.version in " ".join(issued().why_served)
    assert f"  approval          {waiting().text[:40]}" in town.command("status", NAME)
    town.write_city_file()
    town.settle(checks=False)
    assert waiting() is None
    assert ServingRecord.load(town.store, NAME, TODAY).version == second.version
