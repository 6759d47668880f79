"""The pages in a real Chromium, opened from the disk as by a double click."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.compute as pc
import pytest
from axe_playwright_python.sync_playwright import Axe

from shotspotter_assets.pages.rendering import PLOTLY_FILE
from shotspotter_assets.pages.shift_plans import FEW_ROWS, MAX_ROWS, SOME_ROWS, ShiftPlans, density_of
from shotspotter_assets.pages.site import LAST_HOURS, PLANS, TABS, city_page, make_overview, make_pages, plans_values
from shotspotter_assets.pages.words import chance_classes
from shotspotter_assets.patrol.stored_plans import read_plan
from shotspotter_assets.quality.city_state import keep_findings
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.issued_forecasts import forecast_partition
from shotspotter_assets.serving.risk_tables import next_day_rows
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.pages.browser import Seen, colours_of, pixels
from shotspotter_assets_tests.pages.site_of_tiny_city import (
    CITY,
    DAYS,
    FIRST,
    HOSTILE,
    ISSUED,
    SHIFTS,
    TinySite,
    plans_of,
)

MAP = "document.getElementById('map').map"
CLASSES = f"Object.fromEntries([...{MAP}.cells].map(([n, cell]) => [n, +cell.getElement().classList[2].slice(6)]))"
MAX_BYTES = 6_000_000
"""Size of a first page with all files that it loads."""


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def context(browser: Any, seen: Seen) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1600, "height": 900}, color_scheme="light")
    context.on("page", seen.watch)
    yield context
    context.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    page = context.new_page()
    yield page
    page.close()


def address(folder: Path, file: str, city: str = CITY) -> str:
    return (folder / f"city={city}" / file).as_uri()


def open_page(page: Any, folder: Path, file: str = "index.html", ready: str = "drawn") -> None:
    page.goto(address(folder, file.split("#", maxsplit=1)[0]) + "".join(file.partition("#")[1:]))
    page.wait_for_selector(f"body[data-{ready}]")


def rgb(page: Any, name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", page.evaluate("(name) => CityPages.colour(name)", name))))


def test_tomorrow_opens_from_the_disk_and_loads_six_megabytes_at_most(page: Any, seen: Seen, folder: Path) -> None:
    start = len(seen.requests)
    open_page(page, folder)
    files = {unquote(url.removeprefix("file://")) for url in seen.requests[start:] if url.startswith("file:")}
    assert 0 < sum(Path(file).stat().st_size for file in files) < MAX_BYTES


def test_the_map_of_tomorrow_shows_the_forecast_in_the_colours_of_the_legend(
    page: Any, folder: Path, tiny_site: TinySite
) -> None:
    open_page(page, folder)
    day = next_day_rows(tiny_site.store.read_table(forecast_partition(CITY, tiny_site.last_issued), FORECAST_FILE))
    number = pc.add(pc.multiply(day["row"].cast("int64"), tiny_site.city.grid.columns), day["column"])
    wanted = dict(
        zip(map(str, number.to_pylist()), chance_classes(day["probability"].to_numpy()).tolist(), strict=True)
    )
    assert page.evaluate(CLASSES) == wanted
    assert len(set(wanted.values())) > 2
    legend = page.evaluate(
        "[...document.querySelectorAll('.legend i[class^=class-]')].map((i) => [i.className, getComputedStyle(i).backgroundColor])"
    )
    shown = {
        tuple(map(int, re.findall(r"\d+", colour)))
        for name, colour in legend
        if int(name.removeprefix("class-")) in wanted.values()
    }
    picture = page.locator("#map .canvas").screenshot()
    assert shown <= colours_of(picture)
    assert rgb(page, "park") in colours_of(picture, least=5)


def test_hours_and_types_change_map_and_places_and_are_in_the_address(page: Any, folder: Path) -> None:
    open_page(page, folder)
    places = "ol[data-view]:not([hidden])"
    before = page.inner_text("#shown"), page.inner_text(places), page.evaluate(CLASSES)
    page.check("input[name=band][value='4']")
    page.select_option("#type", label="Multiple gunshots")
    assert "Evening, 18 to 24, multiple gunshots" in page.inner_text("#shown")
    after = page.inner_text("#shown"), page.inner_text(places), page.evaluate(CLASSES)
    assert all(one != other for one, other in zip(before, after, strict=True))
    link = page.evaluate("location.hash")
    open_page(page, folder)
    open_page(page, folder, f"index.html{link}")
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    assert page.is_checked("input[name=band][value='4']")
    assert "multiple gunshots" in page.inner_text("#shown")


def test_the_hours_of_the_day_add_up_to_its_total(page: Any, folder: Path) -> None:
    open_page(page, folder)
    shown = []
    for band in range(5):
        page.check(f"input[name=band][value='{band}']")
        shown.append(float(page.inner_text("#shown").split(": ")[1].split()[0]))
    assert shown[0] == pytest.approx(sum(shown[1:]))
    assert f"About {shown[0]} alerts" in page.inner_text(".lead")


def test_the_map_is_read_by_keyboard(page: Any, folder: Path) -> None:
    open_page(page, folder)
    page.focus("#map .canvas")
    page.keyboard.press("ArrowDown")
    first = page.inner_text("#map .says")
    assert "ward" in first
    assert "alerts expected" in first
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#map .says") != first
    page.keyboard.press("+")
    zoomed = f"{MAP}.map.getZoom() - {MAP}.map.getMinZoom()"
    assert page.evaluate(zoomed) == pytest.approx(1)
    page.keyboard.press("0")
    assert page.evaluate(zoomed) == 0
    page.keyboard.press("Escape")
    assert page.inner_text("#map .says") == ""


def test_a_place_in_the_list_is_shown_on_the_map(page: Any, folder: Path) -> None:
    open_page(page, folder)
    third = "ol[data-view]:not([hidden]) li:nth-child(3)"
    page.click(f"{third} button")
    assert str(page.evaluate(f"{MAP}.chosen")) == page.get_attribute(third, "data-cell")
    assert page.locator("li.chosen:visible").count() == 1


def test_streets_can_be_hidden_pointed_at_and_chosen(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder, "index.html#streets=1")
    partition = Partition("street_risk", CITY, "date", tiny_site.last_issued)
    top = tiny_site.store.read_table(partition, "top_streets.parquet").to_pylist()
    drawn = page.locator("#map path.street").evaluate_all(
        "(all) => all.map((one) => +one.classList[1].slice(6)).reverse()"
    )
    assert drawn == chance_classes(np.array([row["probability"] for row in top])).tolist()
    with_streets = page.locator("#map .canvas").screenshot()
    page.check("input[name=streets][value='0']")
    assert page.locator("#map path.street").count() == 0
    assert (pixels(with_streets) != pixels(page.locator("#map .canvas").screenshot())).any(axis=2).sum() > 500
    page.click("#streets li:nth-child(2) button")
    assert page.is_checked("input[name=streets][value='1']")
    says = page.inner_text("#map .says")
    assert says.startswith(f"2. {top[1]['name']} · ")
    assert "alerts expected" in says
    assert top[1]["why"] in says
    assert page.locator("#streets li.chosen").count() == 1
    page.locator("#map path.street").last.dispatch_event("mouseover")
    assert page.inner_text(".leaflet-tooltip b") == f"1. {top[0]['name']}"
    page.focus("#map .canvas")
    page.keyboard.press("Escape")
    assert page.inner_text("#map .says") == ""
    assert page.locator("#streets li.chosen").count() == 0


def test_names_of_places_are_text(page: Any, folder: Path) -> None:
    open_page(page, folder)
    # One of the streets is named like a tag of HTML.
    assert HOSTILE in "".join(page.evaluate(f"Object.values({MAP}.ground.places)"))
    page.evaluate(f"{MAP}.map.setZoom({MAP}.map.getMinZoom() + 2)")
    for kind in ("All kinds", "Single gunshot"):
        page.select_option("#type", label=kind)
        names = page.locator("ol[data-view]:not([hidden]) .name").all_inner_texts()
        assert names
        assert all(" St" in name and "ward" in name for name in names)
        assert page.locator("img").count() == 0


def test_the_theme_is_switched_and_kept(page: Any, folder: Path) -> None:
    open_page(page, folder)
    colours = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('path.cell')).fill]"
    )
    light = page.evaluate(colours)
    page.click("#theme")
    dark = page.evaluate(colours)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    assert page.evaluate(colours) == dark
    page.click("#theme")


def test_the_page_warns_when_its_day_is_over(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder)
    assert " is over (for " in page.inner_text("#age")
    page.clock.set_fixed_time(f"{tiny_site.last_issued + timedelta(days=1)}T12:00:00Z")
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    assert page.is_hidden("#age")


PAGES = [*((file, CITY) for file in TABS if file != LAST_HOURS), ("index.html", "all-cities")]


@pytest.mark.parametrize(("file", "city"), PAGES)
def test_pages_fit_phones_and_have_no_serious_barrier(browser: Any, folder: Path, file: str, city: str) -> None:
    for width, scheme in ((375, "dark"), (1600, "light")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        page.goto(address(folder, file, city))
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        serious = [
            f"{one['id']}: {node['html']}"
            for one in Axe().run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == []
        page.close()


def test_plans_show_the_stored_places_on_map_and_in_table(page: Any, folder: Path, tiny_site: TinySite) -> None:
    table, _ = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    page.goto(address(folder, PLANS))
    assert page.locator("section.sheet").count() == len(SHIFTS)
    assert page.locator("section.sheet tbody tr").count() == page.locator("svg .mark").count() == len(table)
    assert all("ward" in name for name in page.locator("td .place").all_inner_texts())
    for sheet in page.locator("section.sheet svg").all():
        fills = sheet.locator("path[class^=class]").evaluate_all(
            "(all) => all.map((one) => getComputedStyle(one).fill)"
        )
        wanted = {tuple(map(int, re.findall(r"\d+", fill))) for fill in fills}
        assert len(wanted) > 2
        assert wanted <= colours_of(sheet.screenshot())
    rows = list(csv.DictReader((folder / f"city={CITY}" / "plan.csv").read_text().splitlines()))
    assert len(rows) == len(table)
    assert all(" St" in row["place"] for row in rows)
    assert len(json.loads((folder / f"city={CITY}" / "plan.geojson").read_bytes())["features"]) == len(table)


@pytest.mark.parametrize(
    ("rows", "paper"), [(2, "A4"), (FEW_ROWS, "Letter"), (SOME_ROWS, "Letter"), (MAX_ROWS + 5, "Letter")]
)
def test_each_shift_prints_on_one_sheet(
    page: Any, folder: Path, tiny_site: TinySite, tmp_path: Path, rows: int, paper: str
) -> None:
    plans, ground = plans_of(tiny_site)
    shutil.copytree(folder / "city=all-cities", tmp_path / "city=all-cities", ignore=lambda *_: {PLOTLY_FILE})
    (tmp_path / f"city={CITY}").mkdir()
    content = city_page(tiny_site.city, TABS, PLANS, **plans_values(tiny_site.city, ground, with_rows(plans, rows)))
    (tmp_path / f"city={CITY}" / PLANS).write_bytes(content)
    page.goto(address(tmp_path, PLANS))
    printed = page.pdf(format=paper, prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == len(SHIFTS)


def with_rows(plans: ShiftPlans, rows: int) -> ShiftPlans:
    """Give each shift so many places with long names."""
    sheets = []
    for sheet in plans.sheets:
        [first, *_] = sheet.places
        name = "near Martin Luther King Junior Avenue SE and Mississippi Avenue SE, ward 8"
        places = [{**first, "rank": rank + 1, "place": name, "why": 2 * first["why"]} for rank in range(rows)]
        left_out = max(rows - MAX_ROWS, 0)
        sheets.append(replace(sheet, places=places[:MAX_ROWS], left_out=left_out, density=density_of(rows)))
    return replace(plans, sheets=sheets)


def test_a_past_day_is_shown_beside_its_alerts(page: Any, folder: Path, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    open_page(page, folder, f"past.html#day={day}")
    assert page.input_value("#date") == str(day)
    scores = ScoreRecord.load(tiny_site.store, CITY, day).scores
    assert scores is not None
    came = page.locator("#happened path.ring").count()
    assert came == scores.observed_alerts > 0
    sentence = page.inner_text("#sentence")
    assert sentence.startswith(f"{came} alerts came; about ")
    caught = "The map caught \\d+ of (\\d+) with 5% of the area; a map of the long-run mean caught \\d+"
    found = re.search(caught, sentence)
    assert found is not None
    assert int(found[1]) == came
    cells = page.locator("#forecast path.cell").count()
    assert page.locator("#forecast path.frame").count() == max(int(0.05 * cells + 0.5), 1)
    assert rgb(page, "happened") in colours_of(page.locator("#happened .canvas").screenshot(), 10)
    page.locator("#happened .canvas").press("ArrowDown")
    assert page.inner_text("#happened .says")
    page.locator("#forecast .canvas").press("+")
    both = [page.evaluate(f"document.getElementById('{name}').map.map.getZoom()") for name in ("forecast", "happened")]
    assert both[0] == pytest.approx(both[1])


def test_days_are_chosen_by_slider_buttons_date_calendar_and_link(page: Any, folder: Path) -> None:
    days = [str(ISSUED + timedelta(days=at)) for at in range(1, DAYS + 1)]
    open_page(page, folder, "past.html")
    assert page.input_value("#date") == days[-1]
    page.focus("#slider")
    page.keyboard.press("Home")
    page.wait_for_selector(f"body[data-drawn='{days[0]}']")
    assert page.is_disabled("#before")
    page.click("#after")
    page.wait_for_selector(f"body[data-drawn='{days[1]}']")
    page.fill("#date", days[3])
    page.wait_for_selector(f"body[data-drawn='{days[3]}']")
    page.locator("#calendar rect").nth(2).click()
    page.wait_for_selector(f"body[data-drawn='{days[2]}']")
    assert page.evaluate("location.hash") == f"#day={days[2]}"
    assert page.locator("#calendar rect").count() == DAYS


def told(page: Any) -> int:
    page.wait_for_timeout(150)
    return int(page.inner_text("#told").split(" of ")[0].replace(",", ""))


def test_filters_leave_the_alerts_that_the_store_has(page: Any, folder: Path, tiny_site: TinySite) -> None:
    last = tiny_site.last_issued + timedelta(days=1)
    table = tiny_site.store.read_window("cleaned_alerts", CITY, ALERTS_FILE, FIRST, last).to_pandas()
    local = table["time_utc"].dt.tz_convert("America/New_York")
    open_page(page, folder, "alerts.html", "charts")
    assert told(page) == len(table)
    page.uncheck("#weekday-0")
    kept = local.dt.day_of_week != 0
    assert told(page) == kept.sum()
    page.select_option("#since", "22")
    page.select_option("#until", "6")
    kept &= (local.dt.hour >= 22) | (local.dt.hour < 6)
    assert told(page) == kept.sum()
    page.uncheck("#type-0")
    page.check("#once")
    kept &= (table["gunshot_type"] != 0) & (table["user_id"] == table["incident_id"])
    assert told(page) == kept.sum()
    page.fill("#from", "2023-10-01")
    page.fill("#to", "2023-10-31")
    kept &= (local.dt.month == 10) & (local.dt.year == 2023)
    assert told(page) == kept.sum() > 0
    assert 0 < sum(one > 0 for one in page.evaluate(CLASSES).values()) <= kept.sum()
    for chart in ("over-time", "by-hour", "by-weekday"):
        page.wait_for_function(
            f"document.getElementById('{chart}').data.flatMap((one) => one.y).reduce((a, b) => a + b, 0) === {kept.sum()}"
        )
    link = page.evaluate("location.hash")
    open_page(page, folder)
    open_page(page, folder, f"alerts.html{link}", "charts")
    assert told(page) == kept.sum()
    page.click("#all")
    assert told(page) == len(table)


def test_every_alert_is_a_dot_in_the_colour_of_its_kind(page: Any, folder: Path) -> None:
    open_page(page, folder, "alerts.html#points=1", "charts")
    wanted = {rgb(page, f"type-{at}") for at in range(3)}
    assert wanted <= colours_of(page.locator("#map .canvas").screenshot())
    assert all(len(colours_of(one.screenshot(), 20)) > 1 for one in page.locator(".cards .canvas").all())


def test_the_track_record_draws_the_scores(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder, "track_record.html", "charts")
    scores = [ScoreRecord.load(tiny_site.store, CITY, ISSUED + timedelta(days=at)).scores for at in range(1, DAYS)]
    assert f"{DAYS} days)" in page.inner_text(".lead")
    came = int(page.inner_text("dl.figures div:nth-child(3) dd").split()[0])
    assert came >= sum(score.observed_cells for score in scores if score is not None) > 0
    for chart in ("months", "reliability", "hits"):
        data = page.evaluate(f"document.getElementById('{chart}').data")
        assert all(len(one["x"]) == len(one["y"]) > 0 for one in data), chart
    assert "Ward 1" in page.inner_text("section[aria-label='By district']")


def test_the_data_page_shows_problems_as_text(page: Any, folder: Path, tiny_site: TinySite, tmp_path: Path) -> None:
    open_page(page, folder, "data.html")
    assert "All of them are known" in page.inner_text(".lead")
    assert len(colours_of(page.locator("#coverage .canvas").screenshot())) > 1
    shutil.copytree(tiny_site.root / "store", tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    keep_findings(store, CITY, [FIRST], {"duplicates": Finding(False, f"A file named {HOSTILE} came twice.")})
    make_pages(store, tiny_site.city)
    make_overview(store, [CITY])
    open_page(page, tmp_path / "store" / "city_pages", "data.html")
    assert f"A file named {HOSTILE} came twice." in page.inner_text("#problems")


def test_the_overview_leads_to_the_city(page: Any, folder: Path) -> None:
    page.goto(address(folder, "index.html", "all-cities"))
    page.click("text=Tiny city")
    page.wait_for_selector("body[data-drawn]")
    page.click("text=All cities")
    assert page.inner_text("h1") == "All cities"


def test_no_page_asks_another_host_or_logs_an_error(seen: Seen, page: Any, folder: Path) -> None:
    for file in TABS:
        if file != LAST_HOURS:
            page.goto(address(folder, file))
            page.wait_for_timeout(200)
    assert seen.hosts == []
    assert seen.console == []
