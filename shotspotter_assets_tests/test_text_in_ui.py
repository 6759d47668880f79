from pathlib import Path

import pytest

from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.pages.browser import open_browser
from shotspotter_assets_tests.running_system import RunningSystem

CITY, DAY = "landing_city", "2024-03-06"
IMAGE = "<img src=x onerror=alert(1)>"
TYPE = "<script>alert(2)</script>"
ROWS = f"""when,lon,lat,kind,rounds,id
{DAY}T17:00:00Z,-76.5,38.5,{TYPE},1,{IMAGE}
{DAY}T18:00:00Z,-10,38.5,{TYPE},1,[click](javascript:alert(3))
"""
OF_THE_TEXTS = "img[src='x'], script:text-matches('alert'), a[href^='javascript:alert']"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_text_from_outside_is_no_html_in_the_ui(tmp_path: Path) -> None:
    city = (TEST_CITIES / f"{CITY}.yaml").read_text()
    with open_browser() as browser, RunningSystem(tmp_path, {CITY: city}) as system:
        folder = system.landing / CITY
        (folder / f"{IMAGE} of {DAY}.csv").write_text(ROWS)
        (folder / f"{IMAGE} bad.csv").write_text(f"{TYPE},b\n1,2\n")
        system.wait_for(lambda: system.runs().get(DAY) == "SUCCESS", seconds=300)
        of_asset = f"{system.url}/assets/{CITY}/cleaned_alerts"
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        for address in (f"{of_asset}?view=overview", f"{of_asset}?view=partitions&partition={DAY}"):
            page.goto(address)
            page.get_by_text(TYPE).first.wait_for(timeout=60_000)
            for panel in page.get_by_text("Show Markdown").all():
                panel.click()
                page.wait_for_timeout(500)
                assert page.locator(OF_THE_TEXTS).count() == 0, address
                page.keyboard.press("Escape")
            assert page.locator(OF_THE_TEXTS).count() == 0, address
        assert not dialogs
