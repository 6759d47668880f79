"""Status, status file and the script beside the pages say the same while a day arrives, is stored and is forecast."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, rows
from shotspotter_assets_tests.automation.statements import ALWAYS, SHOWN, Said, untrue

START = date(2026, 3, 2)
LAST = date(2026, 3, 15)


def test_a_stored_day_is_said_to_be_forecast_until_the_pages_show_it(tmp_path: Path) -> None:
    town = LivingCity(tmp_path, START, noon(LAST + timedelta(days=1)))
    town.land("history.csv", *rows(START, LAST))
    town.settle(checks=False)
    assert untrue(town, ALWAYS + SHOWN) == []
    assert Said(town).status_file["made"] == ""

    town.now += timedelta(days=1)
    new = LAST + timedelta(days=1)
    town.land("new.csv", *rows(new, new))
    [request] = town.tick()
    assert untrue(town, ALWAYS + SHOWN) == []
    file = Said(town).status_file
    assert "up to 15 March 2026; those of 16 March 2026 have arrived and are not stored yet" in file["data"]
    assert file["made"].endswith("those of 16 March 2026 have arrived and are being forecast.")
    assert "new.csv" in " ".join(file["waits"])

    keys = [dg.AssetKey([NAME, str(asset)]) for asset in ALERTS]
    town.run(dg.RunRequest(asset_selection=keys, tags=request.tags), checks=False)
    with town.under_way(assets_of(request) - {str(asset) for asset in ALERTS}, request.tags):
        town.tick()
        assert untrue(town, ALWAYS + SHOWN) == []
        file = Said(town).status_file
        assert file["data"] == "alerts up to 16 March 2026"
        assert file["made"].endswith("those of 16 March 2026 have arrived and are being forecast.")

    town.settle(checks=False)
    assert untrue(town, ALWAYS + SHOWN) == []
    assert Said(town).status_file["made"] == ""
    town.close()
