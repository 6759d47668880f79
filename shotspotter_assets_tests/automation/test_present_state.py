"""Status, status file and the script beside the pages say the same while a day arrives, is stored and is forecast."""

from datetime import timedelta
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.conftest import TODAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, rows
from shotspotter_assets_tests.automation.statements import ALWAYS, SHOWN, Said, untrue


@pytest.fixture
def town(settled: LivingCity) -> LivingCity:
    """The city a day later: a day is over, and nothing of it has landed."""
    settled.now += timedelta(days=1)
    return settled


def said(town: LivingCity) -> dict[str, Any]:
    """Return the status file after a tick, which must agree with status and pages."""
    town.tick()
    assert untrue(town, ALWAYS + SHOWN) == []
    return Said(town).status_file


def test_a_failed_run_is_named_with_its_next_try(town: LivingCity) -> None:
    town.land("new.csv", *rows(TODAY, TODAY))
    [request] = town.tick()
    with mock.patch.object(Store, "write_bytes", side_effect=OSError("The disk is full.")):
        assert not town.run(request)
    file = said(town)
    assert file["made"].endswith("those of 16 March 2026 have arrived and wait until a failed run is tried again.")
    [failed] = [text for text in file["waits"] if "ended as failure; it is tried again at 13:0" in text]
    assert "new.csv" in failed
    assert failed in Said(town).status["landed"]
    town.now += timedelta(minutes=2)
    assert "are forecast next" in said(town)["made"]


def test_an_empty_daily_file_has_arrived(town: LivingCity) -> None:
    town.land(f"daily_{TODAY}.csv")
    file = said(town)
    assert "not known" not in file["data"]
    assert file["made"].endswith("those of 16 March 2026 have arrived and are forecast next.")
    assert f"daily_{TODAY}.csv" not in " ".join(Said(town).status["alerts"])
    town.settle(checks=False)
    assert said(town)["data"] == "alerts up to 16 March 2026"


def test_a_file_that_cannot_be_used_is_named_until_it_is_replaced(town: LivingCity) -> None:
    path = town.land(f"daily_{TODAY}.csv")
    path.write_text("garbage without the columns\n1\n")
    file = said(town)
    assert [text for text in file["waits"] if f"daily_{TODAY}.csv" in text]
    assert [text for text in Said(town).beside["waits"] if f"daily_{TODAY}.csv" in text]
    town.settle(checks=False)
    assert [text for text in said(town)["waits"] if f"daily_{TODAY}.csv" in text], "runs do not clear it"
    town.land(f"daily_{TODAY}.csv", *rows(TODAY, TODAY))
    town.settle(checks=False)
    assert said(town)["waits"] == []


def test_a_day_held_back_is_named_until_its_rows_are_corrected(town: LivingCity) -> None:
    lines = [",".join([line.split(",")[0], "", *line.split(",")[2:]]) for line in rows(TODAY, TODAY)]
    town.land(f"daily_{TODAY}.csv", *lines)
    town.settle(checks=False)
    file = said(town)
    assert "16th is held back" in file["data"]
    assert [text for text in file["waits"] if text.startswith("Held back until") and str(TODAY) in text]
    town.land(f"daily_{TODAY}.csv", *rows(TODAY, TODAY))
    town.settle(checks=False)
    assert said(town)["waits"] == []


def test_each_file_of_several_days_is_named_with_its_own_days(town: LivingCity) -> None:
    town.now += timedelta(days=1)
    town.land("first.csv", *rows(TODAY, TODAY))
    town.land("second.csv", *rows(TODAY + timedelta(days=1), TODAY + timedelta(days=1)))
    reason = town.tick()[0].tags["shotspotter/reason"]
    assert "2026-03-16 to 2026-03-17 (second.csv: 17 March 2026, first.csv: 16 March 2026): the first day" in reason
    town.land("second.csv", *rows(TODAY, TODAY + timedelta(days=1)))
    town.remove("first.csv")
    assert "2026-03-16 to 2026-03-17 (second.csv): the first day" in town.tick()[0].tags["shotspotter/reason"]
    town.now += timedelta(days=1)
    town.land("second.csv", *rows(TODAY, TODAY), *rows(TODAY + timedelta(days=2), TODAY + timedelta(days=2)))
    assert "2026-03-16 to 2026-03-18 (second.csv): the first day" in town.tick()[0].tags["shotspotter/reason"]


def test_a_reason_names_the_state_that_was_stored(town: LivingCity) -> None:
    town.settle(checks=False)
    assert town.table.state(TODAY) == "unknown"
    (town.folder / "landing" / NAME / f"quiet_{TODAY}").write_text("")
    reason = town.tick()[0].tags["shotspotter/reason"]
    assert "was stored as unknown and is decided again (A person reports no alerts.)" in reason


def test_training_alone_is_no_forecast_under_way(town: LivingCity) -> None:
    keys = [dg.AssetKey([NAME, str(asset)]) for asset in ALERTS]
    town.land("new.csv", *rows(TODAY, TODAY))
    [request] = town.tick()
    town.run(dg.RunRequest(asset_selection=keys, tags=request.tags), checks=False)
    with town.under_way(["live_models"], {}):
        assert "are forecast next" in said(town)["made"], "its forecast is due, and waits for no training"


def test_a_stored_day_is_said_to_be_forecast_until_the_pages_show_it(town: LivingCity) -> None:
    assert said(town)["made"] == ""

    town.land("new.csv", *rows(TODAY, TODAY))
    [request] = town.tick()
    assert untrue(town, ALWAYS + SHOWN) == []
    file = Said(town).status_file
    assert "up to 15 March 2026; those of 16 March 2026 have arrived and are not stored yet" in file["data"]
    assert file["made"].endswith("those of 16 March 2026 have arrived and are forecast next.")
    assert "new.csv" in " ".join(file["waits"])

    keys = [dg.AssetKey([NAME, str(asset)]) for asset in ALERTS]
    town.run(dg.RunRequest(asset_selection=keys, tags=request.tags), checks=False)
    with town.under_way(assets_of(request) - {str(asset) for asset in ALERTS}, request.tags):
        town.tick()
        assert untrue(town, ALWAYS + SHOWN) == []
        file = Said(town).status_file
        assert file["data"] == "alerts up to 16 March 2026"
        assert file["made"].endswith("those of 16 March 2026 have arrived and are forecast next.")

    town.settle(checks=False)
    assert untrue(town, ALWAYS + SHOWN) == []
    assert Said(town).status_file["made"] == ""


@pytest.fixture
def town_with_gap(town: LivingCity) -> LivingCity:
    """The city two days later, whose file of the day in between has not landed."""
    town.now += timedelta(days=2)
    for day in (TODAY, TODAY + timedelta(days=2)):
        town.land(f"daily_{day}.csv", *rows(day, day))
    town.settle(checks=False)
    return town


GAP = TODAY + timedelta(days=1)


def test_a_gap_is_named_until_the_forecast_has_it(town_with_gap: LivingCity) -> None:
    town = town_with_gap
    file = said(town)
    assert (file["missing"], file["made"]) == ([str(GAP)], "")
    assert file["data"] == "alerts up to 18 March 2026; the 17th is not known"
    record = town.forecast(GAP + timedelta(days=2))
    assert (record.missing, record.data) == ((GAP,), file["data"])
    town.land(f"daily_{GAP}.csv", *rows(GAP, GAP))
    file = said(town)
    assert file["data"] == "alerts up to 18 March 2026; those of 17 March 2026 have arrived and are not stored yet"
    assert file["made"].endswith("those of 17 March 2026 have arrived and are forecast next.")
    town.settle(checks=False)
    file = said(town)
    assert (file["missing"], file["made"], file["data"]) == ([], "", "alerts up to 18 March 2026")


def test_a_gap_filled_after_the_day_of_the_forecast_began_is_named(town_with_gap: LivingCity) -> None:
    town = town_with_gap
    town.now += timedelta(hours=19)
    town.land(f"daily_{GAP}.csv", *rows(GAP, GAP))
    town.settle(checks=False)
    file = said(town)
    assert (file["forecast_date"], file["missing"]) == ("2026-03-20", [str(GAP)]), "it stays as issued"
    assert file["data"] == "alerts up to 18 March 2026; the 19th is not known"
    assert file["made"].endswith(
        "from alerts up to 18 March 2026; those of 17 March 2026 have arrived and count from the next forecast or training on."
    )


def test_a_city_run_by_hand_names_each_day_that_is_awaited(town: LivingCity) -> None:
    town.write_city_file(automation="manual")
    town.now += timedelta(days=1)
    assert said(town)["data"] == "alerts up to 15 March 2026; the 16th and 17th are not stored yet"


def test_a_source_that_has_ended_is_said_to_have_ended_everywhere(town: LivingCity) -> None:
    town.now += timedelta(days=400)
    assert said(town)["data"] == "alerts up to 15 March 2026; the source has ended"
    assert Said(town).status["alerts"] == ["Alerts up to 15 March 2026; the source has ended."]
