"""The pages in a real Chromium, opened from the disk as by a double click."""

import base64
import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.compute as pc
import pytest
from axe_playwright_python.sync_playwright import Axe

from shotspotter_assets.pages.alert_table import alert_table
from shotspotter_assets.pages.chances import CHANCE_CLASSES, chance
from shotspotter_assets.pages.ground import Ground
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import PLOTLY_FILE, script_of
from shotspotter_assets.pages.shift_plans import FEW_ROWS, MAX_ROWS, SOME_ROWS, ShiftPlans, density_of, shift_plans
from shotspotter_assets.pages.site import TABS, make_overview, make_pages, plans_page
from shotspotter_assets.patrol.stored_plans import read_plan
from shotspotter_assets.quality.city_state import CityState
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition, load_record
from shotspotter_assets.serving.risk_tables import NEXT_DAY_HORIZON
from shotspotter_assets.storage.file_names import ALERTS_FILE, FORECAST_FILE
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.pages.browser import Seen, colours_of, pixels
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, FIRST, HOSTILE, ISSUED, SHIFTS, TinySite


def class_of(probability: float) -> int:
    """Its place in the legend."""
    return sum(probability >= one.at_least for one in CHANCE_CLASSES) - 1


MAX_BYTES = 6_000_000
"""Of a first page with all that it loads."""


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


def open_tomorrow(page: Any, folder: Path, link: str = "") -> None:
    page.goto(address(folder, "index.html") + link)
    page.wait_for_selector("body[data-drawn]")


def test_tomorrow_opens_by_double_click_within_two_seconds_and_six_megabytes(
    page: Any, seen: Seen, folder: Path
) -> None:
    start = len(seen.requests)
    open_tomorrow(page, folder)
    drawn = page.evaluate("performance.now()")
    assert drawn < 2000, "on two cores that others use too"
    files = {unquote(url.removeprefix("file://")) for url in seen.requests[start:] if url.startswith("file:")}
    assert 0 < sum(Path(file).stat().st_size for file in files) < MAX_BYTES


def test_the_map_of_tomorrow_has_the_forecast_in_it_and_the_colours_of_the_legend(
    page: Any, folder: Path, tiny_site: TinySite
) -> None:
    open_tomorrow(page, folder)
    cells = page.evaluate("document.querySelector('#map canvas').map.cells")
    table = tiny_site.store.read_table(forecast_partition(CITY, tiny_site.last_issued), FORECAST_FILE)
    day = table.filter(pc.equal(table["horizon"], NEXT_DAY_HORIZON))
    number = pc.add(pc.multiply(day["row"].cast("int64"), tiny_site.city.grid.columns), day["column"])
    expected = dict(zip(number.to_pylist(), map(class_of, day["probability"].to_pylist()), strict=True))
    assert dict(zip(cells["numbers"], cells["classes"], strict=True)) == expected
    assert len(set(cells["classes"])) > 2
    legend = page.evaluate(
        "[...document.querySelectorAll('.legend i[class^=class-]')].map((i) => [i.className, getComputedStyle(i).backgroundColor])"
    )
    shown = {
        tuple(int(part) for part in colour[4:-1].split(","))
        for name, colour in legend
        if int(name.removeprefix("class-")) in cells["classes"]
    }
    picture = page.locator("#map canvas").screenshot()
    assert shown <= colours_of(picture)
    assert (0x1F, 0x6B, 0x34) in colours_of(picture, least=5)  # the park's outline


def test_maps_are_drawn_over_http_as_from_the_disk(page: Any, folder: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingTCPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/city={CITY}/index.html")
        page.wait_for_selector("body[data-drawn]")
        over_http = colours_of(page.locator("#map canvas").screenshot())
    finally:
        server.shutdown()
        server.server_close()
    open_tomorrow(page, folder)
    assert over_http == colours_of(page.locator("#map canvas").screenshot())


def test_hours_and_types_change_map_and_places_and_are_in_the_address(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    before = page.inner_text("#shown"), page.inner_text("#places")
    page.check("input[name=band][value='4']")
    page.select_option("#type", label="Multiple gunshots")
    assert "Evening, 18 to 24, multiple gunshots" in page.inner_text("#shown")
    assert (page.inner_text("#shown"), page.inner_text("#places")) != before
    link = page.evaluate("location.hash")
    open_tomorrow(page, folder)
    open_tomorrow(page, folder, link)
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    assert page.is_checked("input[name=band][value='4']")
    assert "multiple gunshots" in page.inner_text("#shown")


def test_the_map_is_read_by_keyboard(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    page.focus("#map canvas")
    page.keyboard.press("ArrowDown")
    first = page.inner_text("#map .says")
    assert "ward" in first
    assert "alerts expected" in first
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#map .says") != first
    page.keyboard.press("+")
    assert page.evaluate("document.querySelector('#map canvas').map.view.zoom") == 2
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    assert page.inner_text("#map .says") == ""


def test_a_place_in_the_list_is_shown_on_the_map(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    page.click("#places li:nth-child(3) button")
    chosen = page.evaluate("document.querySelector('#map canvas').map.chosen")
    assert str(chosen) == page.get_attribute("#places li:nth-child(3)", "data-cell")
    assert page.locator("#places li.chosen").count() == 1


def test_streets_are_lines_over_the_cells_that_can_be_left_out_pointed_at_and_chosen(
    page: Any, folder: Path, tiny_site: TinySite
) -> None:
    open_tomorrow(page, folder, "#streets=1")
    top = tiny_site.store.read_table(
        Partition("street_risk", CITY, "date", tiny_site.last_issued), "top_streets.parquet"
    ).to_pylist()
    drawn = page.evaluate("document.querySelector('#map canvas').map.streets.map((one) => one.class)")
    assert drawn == [class_of(row["probability"]) for row in top]
    assert len(drawn) <= 50
    with_streets = page.locator("#map canvas").screenshot()
    page.check("input[name=streets][value='0']")
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelector('#map canvas').map.streets") == []
    assert (pixels(with_streets) != pixels(page.locator("#map canvas").screenshot())).any(axis=2).sum() > 500
    page.click("#streets li:nth-child(2) button")
    assert page.is_checked("input[name=streets][value='1']")
    says = page.inner_text("#map .says")
    assert says.startswith(f"2. {top[1]['name']} · ")
    assert "of an alert" in says
    assert "alerts expected" in says
    assert top[1]["why"] in says
    assert page.locator("#streets li.chosen").count() == 1
    # A pointer on the middle of the likeliest street is told of it, and one beside it of the cell.
    x, y = page.evaluate("""() => {
        const map = document.querySelector('#map canvas').map, [east, north, far, up] = map.streets[0].lines[0];
        const area = map.canvas.getBoundingClientRect(), [px, py] = map._toPixels((east + far) / 2, (north + up) / 2);
        return [area.left + px / map.ratio, area.top + py / map.ratio];
    }""")
    page.mouse.move(x, y)
    assert page.inner_text("#map .tip b") in {f"{row['rank']}. {row['name']}" for row in top}
    page.focus("#map canvas")
    page.keyboard.press("Escape")
    assert page.inner_text("#map .says") == ""
    assert page.locator("#streets li.chosen").count() == 0
    page.keyboard.press("ArrowDown")
    assert "ward" in page.inner_text("#map .says")


def test_places_have_names_that_are_text(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    # One of the streets is called like a tag of HTML.
    assert HOSTILE in "".join(page.evaluate("Object.values(document.querySelector('#map canvas').map.ground.places)"))
    for _ in range(2):
        names = page.locator("#places .name").all_inner_texts()
        assert all(" St" in name and "ward" in name for name in names)
        assert page.locator("img").count() == 0
        page.select_option("#type", label="Single gunshot")


def test_the_same_chance_is_told_by_page_and_script(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    values = [0.0004, 0.001, 0.004, 0.0075, 0.013, 0.024, 0.05, 0.09, 0.11, 0.17, 0.24, 0.3, 0.36, 0.5, 0.77, 0.99]
    told = page.evaluate(
        "(values) => values.map((p) => CityPages.chance(p, document.querySelector('#map canvas').map.ground))", values
    )
    assert told == [chance(value) for value in values]


def test_the_theme_is_switched_and_kept(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.click("#theme")


@pytest.mark.parametrize(("file", "city"), [*((tab.file, CITY) for tab in TABS), ("index.html", "all-cities")])
def test_pages_fit_phones_and_have_no_serious_barrier(browser: Any, folder: Path, file: str, city: str) -> None:
    for width, scheme in ((375, "dark"), (1600, "light")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        page.goto(address(folder, file, city))
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        serious = [
            f"{one['id']}: {node['html']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == []
        page.close()


def test_every_tab_leads_to_its_page_by_keyboard(page: Any, folder: Path) -> None:
    open_tomorrow(page, folder)
    for tab in TABS[1:]:
        # A browser ignores keys until it has shown a page.
        page.evaluate("() => new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)))")
        page.locator(f"nav a[href='{tab.file}']").press("Enter")
        page.wait_for_url(f"**/{tab.file}*")  # a page of one day says which behind a hash
        assert page.inner_text("nav a[aria-current=page]") == tab.title


def test_plans_show_the_stored_places_on_map_and_in_table(page: Any, folder: Path, tiny_site: TinySite) -> None:
    table, _ = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    page.goto(address(folder, "plans.html"))
    assert page.locator("section.sheet").count() == len(SHIFTS)
    assert page.locator("section.sheet tbody tr").count() == page.locator("svg .mark").count() == len(table)
    assert all("ward" in name for name in page.locator("td .place").all_inner_texts())
    for number, sheet in enumerate(page.locator("section.sheet svg").all()):
        fills = sheet.locator("path[class^=fill]").evaluate_all("(all) => all.map((one) => getComputedStyle(one).fill)")
        wanted = {tuple(int(part) for part in fill[4:-1].split(",")) for fill in fills}
        assert len(wanted) > 2
        assert wanted <= colours_of(sheet.screenshot()), f"sheet {number} hides its cells"
    files = [page.get_attribute(f"text={words}", "href") for words in ("Table (CSV)", "Map data (GeoJSON)")]
    rows = list(csv.DictReader((folder / f"city={CITY}" / files[0]).read_text().splitlines()))
    assert len(rows) == len(table)
    assert all(" St" in row["place"] for row in rows)
    features = json.loads((folder / f"city={CITY}" / files[1]).read_bytes())["features"]
    assert len(features) == len(table)


@pytest.mark.parametrize(
    ("rows", "paper"), [(2, "A4"), (FEW_ROWS, "Letter"), (SOME_ROWS, "Letter"), (MAX_ROWS + 5, "Letter")]
)
def test_each_shift_prints_on_one_sheet(
    page: Any, folder: Path, tiny_site: TinySite, tmp_path: Path, rows: int, paper: str
) -> None:
    plans, ground = plans_of(tiny_site)
    long = plans_with_rows(plans, rows)
    shutil.copytree(folder / "city=all-cities", tmp_path / "city=all-cities", ignore=lambda *_: {PLOTLY_FILE})
    (tmp_path / f"city={CITY}").mkdir()
    (tmp_path / f"city={CITY}" / "plans.html").write_bytes(plans_page(tiny_site.city, ground, long))
    page.goto(address(tmp_path, "plans.html"))
    printed = page.pdf(format=paper, prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == len(SHIFTS)


def plans_of(site: TinySite) -> tuple[ShiftPlans, Ground]:
    layers = CityLayers.read(site.city)
    places = Places(site.city, layers)
    record = load_record(site.store, CITY, site.last_issued)
    assert isinstance(record, ForecastRecord)
    ground = Ground.of(site.city, layers, places, np.ones(site.city.shape, dtype=bool))
    plans = shift_plans(site.store, site.city, record, ground, places)
    assert isinstance(plans, ShiftPlans)
    return plans, ground


def plans_with_rows(plans: ShiftPlans, rows: int) -> ShiftPlans:
    """The same with so many places in each shift, of long names."""
    sheets = []
    for sheet in plans.sheets:
        [first, *_] = sheet.places
        name = "near Martin Luther King Junior Avenue SE and Mississippi Avenue SE, ward 8"
        places = [replace(first, rank=rank + 1, name=name, why=2 * first.why) for rank in range(rows)]
        sheets.append(
            replace(sheet, places=places[:MAX_ROWS], left_out=max(rows - MAX_ROWS, 0), density=density_of(rows))
        )
    return replace(plans, sheets=sheets)


def test_the_way_from_the_day_to_the_shifts_adds_up(tiny_site: TinySite) -> None:
    way = plans_of(tiny_site)[0].way
    assert way.after > 0
    assert way.uncovered > 0
    assert way.day - way.uncovered + way.twice + way.after == pytest.approx(way.shifts)
    assert 0 < way.covered < way.within_reach < way.shifts


def open_past(page: Any, folder: Path, link: str = "") -> None:
    page.goto(address(folder, "past.html") + link)
    page.wait_for_selector("body[data-drawn]")


def shown_day(page: Any) -> str:
    return str(page.input_value("#date"))


def test_a_past_day_is_shown_beside_what_happened(page: Any, folder: Path, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    open_past(page, folder, f"#day={day}")
    assert shown_day(page) == str(day)
    scores = ScoreRecord.load(tiny_site.store, CITY, day).scores
    assert scores is not None
    came = page.evaluate("document.querySelector('#happened canvas').map.points.count")
    assert came == scores.observed_alerts > 0
    sentence = page.inner_text("#sentence")
    assert sentence.startswith(f"{came} alerts came; about ")
    caught = re.search(
        r"The map caught (\d+) of (\d+) with 5% of the area; a map of the long-run mean caught \d+", sentence
    )
    assert caught is not None
    assert int(caught[2]) == came
    outlined = page.evaluate("document.querySelector('#forecast canvas').map.outlined")
    cells = len(page.evaluate("document.querySelector('#forecast canvas').map.cells.numbers"))
    assert len(outlined) == max(int(0.05 * cells + 0.5), 1)
    blue = tuple(int(page.evaluate("CityPages.colour('happened')")[at : at + 2], 16) for at in (1, 3, 5))
    assert blue in colours_of(page.locator("#happened canvas").screenshot(), 10)


def test_days_are_chosen_by_slider_buttons_date_calendar_and_link(page: Any, folder: Path, tiny_site: TinySite) -> None:
    days = [str(ISSUED + timedelta(days=at)) for at in range(1, DAYS + 1)]
    open_past(page, folder)
    assert shown_day(page) == days[-1]
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


def open_alerts(page: Any, folder: Path, link: str = "") -> None:
    page.goto(address(folder, "alerts.html") + link)
    page.wait_for_selector("body[data-charts]")


def told(page: Any) -> int:
    page.wait_for_timeout(150)
    return int(page.inner_text("#told").split(" of ")[0].replace(",", ""))


def test_filters_leave_the_alerts_that_the_store_has(page: Any, folder: Path, tiny_site: TinySite) -> None:
    last = tiny_site.last_issued + timedelta(days=1)
    table = tiny_site.store.read_window("cleaned_alerts", CITY, ALERTS_FILE, FIRST, last).to_pandas()
    local = table["time_utc"].dt.tz_convert("America/New_York")
    open_alerts(page, folder)
    assert told(page) == len(table)
    page.uncheck("#weekday-0")
    assert told(page) == (local.dt.day_of_week != 0).sum()
    page.select_option("#since", "22")
    page.select_option("#until", "6")
    night = (local.dt.day_of_week != 0) & ((local.dt.hour >= 22) | (local.dt.hour < 6))
    assert told(page) == night.sum()
    page.uncheck("#type-0")
    kept = night & (table["gunshot_type"] != 0)
    assert told(page) == kept.sum()
    page.check("#once")
    kept &= table["user_id"] == table["incident_id"]
    assert told(page) == kept.sum()
    page.fill("#from", "2023-10-01")
    page.fill("#to", "2023-10-31")
    kept &= (local.dt.month == 10) & (local.dt.year == 2023)
    assert told(page) == kept.sum() > 0
    by_cell = page.evaluate("document.querySelector('#map canvas').map.cells.classes.filter((one) => one > 0).length")
    assert 0 < by_cell <= kept.sum()
    # Every chart has the same alerts in it.
    for chart in ("over-time", "by-hour", "by-weekday"):
        page.wait_for_function(
            f"document.getElementById('{chart}').data.flatMap((one) => one.y).reduce((a, b) => a + b, 0) === {kept.sum()}"
        )
    link = page.evaluate("location.hash")
    page.close()
    again = page.context.new_page()
    open_alerts(again, folder, link)
    assert told(again) == kept.sum()
    again.click("#all")
    assert told(again) == len(table)
    again.close()


def test_every_alert_is_a_dot_in_the_colour_of_its_kind(page: Any, folder: Path) -> None:
    open_alerts(page, folder, "#points=1")
    names = page.evaluate("document.querySelector('#map canvas').map.points.colours")
    wanted = [page.evaluate("(name) => CityPages.colour(name)", name) for name in names[:3]]
    shown = colours_of(page.locator("#map canvas").screenshot())
    assert {tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for colour in wanted} <= shown
    for at in range(len(names)):
        assert len(colours_of(page.locator(f"#type-map-{at} canvas").screenshot(), 20)) > 1


def test_a_hundred_thousand_alerts_stay_smooth(page: Any, folder: Path, tiny_site: TinySite, tmp_path: Path) -> None:
    table = alert_table(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    times = -(-100_000 // table.count)
    repeated = {
        name: base64.b64encode(base64.b64decode(getattr(table, name)) * times).decode()
        for name in ("x", "y", "day", "hour", "type", "begins")
    }
    shutil.copytree(folder, tmp_path / "many")
    many = table.model_copy(update=repeated | {"count": table.count * times})
    (tmp_path / "many" / f"city={CITY}" / "alerts.js").write_bytes(script_of("alerts", many))
    open_alerts(page, tmp_path / "many", "#points=1")
    assert told(page) >= 100_000
    # The least of several, as other work on the machine adds to each; a twentieth of a second reads as at once.
    filtering = [page.evaluate(f"""() => {{
        document.getElementById('weekday-{at}').click();
        return new Promise((resolve) => setTimeout(() => resolve(Number(document.body.dataset.filterMs)), 400));
    }}""") for at in range(4)]  # fmt: skip
    drawing = [page.evaluate("""() => {
        const map = document.querySelector('#map canvas').map, started = performance.now();
        map._draw();
        return performance.now() - started;
    }""") for _ in range(4)]  # fmt: skip
    assert min(filtering) < 100
    assert min(drawing) < 100


def test_the_track_record_draws_what_was_scored(page: Any, folder: Path, tiny_site: TinySite) -> None:
    page.goto(address(folder, "track_record.html"))
    page.wait_for_selector("body[data-charts]")
    days = [ISSUED + timedelta(days=at) for at in range(1, DAYS)]
    scores = [ScoreRecord.load(tiny_site.store, CITY, day).scores for day in days]
    assert f"({DAYS} days)" in page.inner_text(".lead")
    came = int(page.inner_text("dl.figures div:nth-child(3) dd").split()[0])
    assert came >= sum(score.observed_cells for score in scores if score is not None) > 0
    for chart in ("months", "reliability", "hits"):
        data = page.evaluate(f"document.getElementById('{chart}').data")
        assert all(len(one["x"]) == len(one["y"]) > 0 for one in data), chart
    assert len(page.evaluate("document.getElementById('hits').data")) >= 2
    table = page.inner_text("section[aria-label='By district']")
    assert "Ward 1" in table


def test_the_data_page_names_problems_as_text(page: Any, folder: Path, tiny_site: TinySite, tmp_path: Path) -> None:
    page.goto(address(folder, "data.html"))
    page.wait_for_selector("body[data-drawn]")
    assert "Of all of them it is known what happened" in page.inner_text(".lead")
    assert len(colours_of(page.locator("#coverage canvas").screenshot())) > 1
    shutil.copytree(tiny_site.root / "store", tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    CityState.of_run([FIRST], {"duplicates": f"A file named {HOSTILE} came twice."}).keep(store, CITY)
    make_pages(store, tiny_site.city)
    make_overview(store, [CITY])
    page.goto(address(tmp_path / "store" / "city_pages", "data.html"))
    page.wait_for_selector("body[data-drawn]")
    assert f"A file named {HOSTILE} came twice." in page.inner_text("#checks + p + ul")


def test_the_overview_leads_to_the_city(page: Any, folder: Path) -> None:
    page.goto(address(folder, "index.html", "all-cities"))
    page.click("text=Tiny city")
    page.wait_for_selector("body[data-drawn]")
    page.click("text=All cities")
    assert page.inner_text("h1") == "All cities"


def test_nothing_was_asked_of_another_host_and_no_error_was_logged(seen: Seen) -> None:
    """Of all that the tests before have opened."""
    assert len(seen.requests) > 20
    assert [url for url in seen.hosts if not url.startswith("http://127.0.0.1:")] == []
    assert seen.console == []
