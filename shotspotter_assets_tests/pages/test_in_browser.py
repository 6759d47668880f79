import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from shotspotter_assets.alerts.days.city_now import FORECAST_NEXT, stored_now
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, load_record, next_day_rows, write_forecast
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.patrol.dispatch import read_plan
from shotspotter_assets.pages.addresses import show_now
from shotspotter_assets.pages.rendering import chance_classes, scale
from shotspotter_assets.pages.site import LAST_HOURS, TABS, make_overview, make_pages
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets_tests.pages.browser import MAX_WAIT_MS, BrowserLog, colours_of
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, HOSTILE, ISSUED, SHIFTS, TinySite

pytestmark = pytest.mark.slow

MAP = "document.getElementById('map').map"
CELLS = f"{MAP}.cellLayer.getLayers()"
CLASSES = f"Object.fromEntries({CELLS}.map((cell) => [cell.number, +cell.options.className.slice(11)]))"

DRAWN = "!document.querySelector('.canvas, .chart') || document.body.dataset.drawn || document.body.dataset.charts"


@pytest.fixture(scope="module")
def log() -> BrowserLog:
    return BrowserLog()


@pytest.fixture(scope="module")
def context(browser: Any, log: BrowserLog) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1600, "height": 900}, color_scheme="light")
    context.set_default_timeout(MAX_WAIT_MS)
    context.on("page", log.watch)
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


def test_map_has_the_colours_of_the_legend(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder, "index.html#day=Whole+day")
    day = next_day_rows(tiny_site.store.read_table(FORECAST, CITY, tiny_site.last_issued))
    number = pc.add(pc.multiply(day["row"].cast("int64"), tiny_site.city.grid.columns), day["column"])
    probability = day["probability"].to_numpy()
    classes = chance_classes(probability, scale(probability)).tolist()
    assert page.evaluate(CLASSES) == dict(zip(map(str, number.to_pylist()), classes, strict=True))
    assert len(set(classes)) > 2
    legend = page.evaluate(
        "[...document.querySelectorAll('.legend i')].map((i) => [i.className, getComputedStyle(i).backgroundColor])"
    )
    used = [colour for name, colour in legend if int(name.removeprefix("class-")) in classes]
    shown = {tuple(map(int, re.findall(r"\d+", colour))) for colour in used}
    assert shown <= colours_of(page.locator("#map .canvas").screenshot())
    assert page.locator("#map .rank-mark").count() == page.locator(".period:not([hidden]) li").count() == 10


def test_shifts_and_types_change_map_and_places(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder, "index.html#day=Whole+day")
    before = page.inner_text("#shown"), page.evaluate(CLASSES), page.inner_text(".now h2 >> visible=true")
    page.click("nav.shifts >> text=night >> visible=true")
    assert page.evaluate("location.hash") == "#shift=night"
    page.select_option("#type", label="Multiple gunshots")
    after = page.inner_text("#shown"), page.evaluate(CLASSES), page.inner_text(".now h2 >> visible=true")
    assert all(one != other for one, other in zip(before, after, strict=True))
    table, _ = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    placed = table.filter(pc.field("shift") == "night").num_rows
    assert page.locator("#map .rank-mark").count() == page.locator(".places li >> visible=true").count() == placed
    assert page.locator("#map path.reach").count() == placed


@pytest.mark.parametrize(
    ("hours", "shown", "label"),
    [(1, "before=night", "today"), (7, "shift=day", "today"), (15, "shift=night", "today"), (23, "shift=night", "today"),
     (-4, "before=night", "today"),
     (-12, "before=day", "today"), (-9, "before=night", "today"), (31, "shift=day", ""), (50, "shift=night", "")],
)  # fmt: skip
def test_the_page_opens_on_the_shift_of_the_clock(
    page: Any, folder: Path, tiny_site: TinySite, hours: int, shown: str, label: str
) -> None:
    midnight = day_start(tiny_site.last_issued + timedelta(days=1), tiny_site.city.zone)
    page.clock.set_fixed_time(midnight + timedelta(hours=hours))
    open_page(page, folder)
    assert page.get_attribute(".period:not([hidden])", "id") == shown
    assert page.inner_text("#when").strip() == (f"({label})" if label else "")
    assert page.locator("nav.shifts >> text=night from >> visible=true").count() == (hours < 6)


@pytest.mark.parametrize(("hours", "shown"), [(-1, "before=Night"), (3, "before=Night"), (6.5, "shift=Morning")])
def test_a_city_without_shifts_opens_on_the_six_hours_of_the_clock(
    page: Any, copy: Store, tiny_site: TinySite, hours: float, shown: str
) -> None:
    make_pages(copy, tiny_site.city.model_copy(update={"patrol": None}))
    make_overview(copy, [CITY])
    midnight = day_start(tiny_site.last_issued + timedelta(days=1), tiny_site.city.zone)
    page.clock.set_fixed_time(midnight + timedelta(hours=hours))
    open_page(page, Path(copy.root, "city_pages"))
    assert page.get_attribute(".period:not([hidden])", "id") == shown
    assert page.inner_text("#when").strip() == "(today)"


@pytest.mark.parametrize(
    ("day", "now", "label"),
    [("2023-11-05", "2023-11-05T04:30Z", " (today)"), ("2023-11-06", "2023-11-05T04:30Z", " (tomorrow)"),
     ("2023-03-12", "2023-03-12T04:30Z", " (tomorrow)")],
)  # fmt: skip
def test_days_of_25_and_23_hours_have_labels(page: Any, copy: Store, day: str, now: str, label: str) -> None:
    file = Path(copy.root, "city_pages", f"city={CITY}", "index.html")
    times = f'data-starts="{day}T12:00-05:00" data-ends="{day}T14:00-05:00"'
    file.write_text(re.sub('data-starts="[^"]*" data-ends="[^"]*"', times, file.read_text()))
    page.clock.set_fixed_time(now)
    page.goto(file.as_uri())
    assert page.text_content("#when") == label


def test_a_page_left_open_follows_the_clock(page: Any, folder: Path, tiny_site: TinySite) -> None:
    page.clock.install(
        time=day_start(tiny_site.last_issued + timedelta(days=1), tiny_site.city.zone) + timedelta(hours=1)
    )
    open_page(page, folder, "index.html#%")
    shown = "document.querySelector('.period:not([hidden])').id"
    assert page.evaluate(shown) == "before=night"
    page.clock.fast_forward("06:00:00")
    assert (page.evaluate(shown), page.inner_text("#when")) == ("shift=day", " (today)")
    assert page.inner_text("#shown").startswith("Day: ")
    assert page.locator("nav.shifts >> text=night from >> visible=true").count() == 0
    page.clock.fast_forward("24:00:00")
    assert page.text_content("#when") == ""


def test_a_day_that_is_over_gives_way_to_the_reason_for_no_forecast(
    page: Any, copy: Store, tiny_site: TinySite
) -> None:
    record = load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"replayed": False}).write(copy)
    next_day = record.forecast_date
    facts = {"city": CITY, "issue_date": next_day, "forecast_date": next_day + timedelta(days=1), "lead": 20}
    withheld = NoForecast(**facts, last_known=record.last_known, no_forecast="Too late.", last_issued=record.issue_date)
    write_forecast(copy, withheld)
    make_pages(copy, tiny_site.city)
    make_overview(copy, [CITY])
    midnight = day_start(next_day, tiny_site.city.zone)
    for hours, is_shown in ((20, True), (31, False)):
        page.clock.set_fixed_time(midnight + timedelta(hours=hours))
        open_page(page, Path(copy.root, "city_pages"))
        assert page.is_visible("text=Too late.")
        assert page.is_visible(".now") == is_shown


def test_a_phone_shows_the_verdict_at_once(browser: Any, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address(folder, "track_record.html"))
    box = page.locator("tbody td.number").first.bounding_box()
    assert box["y"] + box["height"] <= 844
    assert box["x"] + box["width"] <= 390
    assert page.locator(".light").bounding_box()["y"] < box["y"]
    page.close()


def test_the_label_of_the_scale_is_not_wider_than_its_bar(browser: Any, folder: Path) -> None:
    for width in (390, 1440):
        page = browser.new_page(viewport={"width": width, "height": 900})
        open_page(page, folder)
        bar = "document.querySelector('.leaflet-control-scale-line')"
        assert page.evaluate(f"{bar}.scrollWidth <= {bar}.offsetWidth")
        page.close()


def test_a_wide_table_on_a_phone_says_that_it_scrolls(browser: Any, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    for file in ("track_record.html", "accountability.html"):
        page.goto(address(folder, file))
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        page.wait_for_selector(".wide")
        tables = page.evaluate(
            "[...document.querySelectorAll('.scroll, .prose')]"
            ".map((box) => [box.scrollWidth > box.clientWidth, box.classList.contains('wide')])"
        )
        assert all(is_cut == is_marked for is_cut, is_marked in tables), file
    page.close()


@pytest.mark.parametrize("file", [file for file in TABS if file != LAST_HOURS])
def test_paper_has_the_city_and_all_that_is_folded(browser: Any, folder: Path, file: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address(folder, file))
    page.wait_for_function(DRAWN)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.is_visible("header .city")
    assert page.is_visible("h1")
    assert page.is_visible("footer")
    assert page.locator("details:not(.screen *):not([open])").count() == 0
    width = page.evaluate(
        "Math.max(0, ...[...document.querySelectorAll('.canvas, .chart')].map((box) => box.getBoundingClientRect().width))"
    )
    assert width <= 661
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("details[open]").count() == 0
    page.close()


@pytest.mark.parametrize("hour", [1, 7, 15, 23])
def test_a_phone_shows_the_first_places_at_once(browser: Any, folder: Path, tiny_site: TinySite, hour: int) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(MAX_WAIT_MS)
    page.clock.set_fixed_time(
        day_start(tiny_site.last_issued + timedelta(days=1), tiny_site.city.zone) + timedelta(hours=hour)
    )
    open_page(page, folder)
    place = page.locator(".period:not([hidden]) ol.places li").all()[:3][-1].bounding_box()
    assert place["y"] + place["height"] <= 844
    page.close()


def test_all_shifts_are_there_without_scripts_and_on_paper(browser: Any, page: Any, folder: Path) -> None:
    open_page(page, folder)
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf())) == len(SHIFTS) + 1  # the whole day is a sheet too
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(MAX_WAIT_MS)
    plain = context.new_page()
    plain.goto(address(folder, "index.html"))
    assert plain.locator("ol.places >> visible=true").count() > len(SHIFTS)
    context.close()


def test_streets_can_be_hidden_and_pointed_at(page: Any, folder: Path, tiny_site: TinySite) -> None:
    open_page(page, folder, "index.html#day=Whole+day")
    page.check("#streets")
    page.locator("#map path.street").last.dispatch_event("mouseover")
    top = json.loads((tiny_site.root / "store/street_risk/city=tiny_city/target=gunfire").joinpath(
        f"date={tiny_site.last_issued}/top_streets.geojson").read_bytes())["features"]  # fmt: skip
    assert page.inner_text(".leaflet-tooltip:not(.name) b") == top[0]["properties"]["name"]
    page.evaluate("location.hash = '#shift=day'")
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('day')")
    assert page.locator("#map path.street").count() == len(top)
    page.uncheck("#streets")
    assert page.locator("#map path.street").count() == 0


def test_names_of_places_are_text(page: Any, folder: Path) -> None:
    open_page(page, folder)
    # One of the streets is named like a tag of HTML.
    assert HOSTILE in "".join(page.evaluate(f"Object.values({MAP}.ground.places)"))
    hostile = f"Object.entries({MAP}.ground.places).find(([, name]) => name.includes('<img'))[0]"
    found = page.evaluate_handle(f"{CELLS}.find((cell) => cell.number === Number({hostile})).getElement()")
    found.as_element().dispatch_event("mouseover")
    assert HOSTILE in page.inner_text(".leaflet-tooltip:not(.name) b")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("city", [CITY, ALL_CITIES])
def test_pages_warn_when_the_forecast_day_is_over(page: Any, copy: Store, tiny_site: TinySite, city: str) -> None:
    record = load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"replayed": False}).write(copy)
    make_pages(copy, tiny_site.city)
    make_overview(copy, [CITY])
    page.goto(address(Path(copy.root, "city_pages"), "index.html", city))
    assert "is out of date." in page.inner_text(".note.age")
    text = Path(copy.root, "city_pages", f"city={city}", "index.html").read_text()
    assert "<noscript><p>This forecast holds until Sunday, 19 November 2023, 06:00.</p></noscript>" in text
    page.clock.set_fixed_time(f"{tiny_site.last_issued + timedelta(days=1)}T12:00:00Z")
    page.reload()
    assert page.is_hidden(".note.age")
    assert page.locator("text=Made after its day >> visible=true").count() == 0


@pytest.mark.parametrize("city", [CITY, ALL_CITIES])
def test_a_demonstration_says_so_in_one_line(page: Any, folder: Path, city: str) -> None:
    page.goto(address(folder, "index.html", city))
    assert page.inner_text("p.age").startswith("Made after its day")
    assert page.locator(".age").count() == 1


PAGES = [*((file, CITY) for file in TABS if file != LAST_HOURS), ("index.html", "all-cities")]


@pytest.mark.parametrize(("file", "city"), PAGES)
def test_pages_fit_phones_and_have_no_serious_barrier(browser: Any, folder: Path, file: str, city: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for width, scheme in ((375, "dark"), (1600, "light")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        page.set_default_timeout(MAX_WAIT_MS)
        page.goto(address(folder, file, city))
        page.wait_for_function(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [one for one in found if one["impact"] in ("serious", "critical")] == []
        page.close()


def test_a_past_day_is_shown_beside_its_alerts(page: Any, folder: Path, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    open_page(page, folder, f"past.html#day={day}")
    scores = ScoreRecord.load(tiny_site.store, CITY, day).scores
    came = page.locator("#happened path.ring").count()
    assert came == scores.observed_alerts > 0
    assert page.inner_text("#sentence").startswith(f"{came} alerts came; about ")
    assert re.search("caught \\d+ of them with 5%.*; a map of the long-run mean caught", page.inner_text("#sentence"))
    times = page.locator("tbody tr td:first-child").all_inner_texts()
    assert len(times) == came
    assert times == sorted(times)
    cells = page.locator("#forecast path.cell").count()
    assert page.locator("#forecast path.frame").count() == max(int(0.05 * cells + 0.5), 1)
    zoom = "document.getElementById('{}').map.map.getZoom()"
    page.evaluate("document.getElementById('forecast').map.map.zoomIn(1, {animate: false})")
    assert page.evaluate(f"{zoom.format('forecast')} === {zoom.format('happened')}")


def test_days_are_chosen_by_list_buttons_and_link(page: Any, folder: Path) -> None:
    days = [str(ISSUED + timedelta(days=at)) for at in range(1, DAYS + 1)]
    open_page(page, folder, "past.html")
    assert page.input_value("#day") == days[-1]
    page.select_option("#day", days[0])
    page.wait_for_selector(f"body[data-drawn='{days[0]}']")
    assert page.is_disabled("#before")
    page.click("#after")
    page.wait_for_selector(f"body[data-drawn='{days[1]}']")
    assert page.evaluate("location.hash") == f"#day={days[1]}"


def test_the_track_record_draws_the_scores(page: Any, folder: Path) -> None:
    open_page(page, folder, "track_record.html", "charts")
    lead = page.inner_text(".lead")
    assert lead.startswith("Not tested yet ")
    assert (
        "The verdict comes with the first test on days that the models have not seen. Scored below, and no part" in lead
    )
    assert page.locator("tbody tr th").all_inner_texts() == ["All", "2023-11"]
    for chart in ("reliability", "hits"):
        data = page.evaluate(f"document.getElementById('{chart}').data")
        assert all(len(one["x"]) == len(one["y"]) > 0 for one in data), chart


def test_now_and_all_cities_say_what_has_arrived(page: Any, copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"automation": "recent"})
    stored = stored_now(city, DayTable.read(copy, city.name), local_time.now())
    new = max(DayTable.read(copy, city.name).days) + timedelta(days=1)
    arrived = {"arrived": (new,), "stage": FORECAST_NEXT, "waits": (f"{new} (new.csv) is new; raw_alerts is due.",)}
    show_now(copy, city, stored.model_copy(update=arrived))
    folder = Path(copy.root, "city_pages")
    page.goto(address(folder, "index.html"))
    page.wait_for_function(DRAWN)
    shown = page.inner_text("main")
    assert not [text for text in ("arrived", "Now:", "Stored so far:", "new.csv") if text in shown], "it is a replay"
    issued = load_record(copy, CITY, tiny_site.last_issued)
    issued.model_copy(update={"replayed": False}).write(copy)
    make_pages(copy, city)
    make_overview(copy, [CITY])
    said = f"{new.day} {new:%B %Y} have arrived and are forecast next."
    page.goto(address(folder, "index.html"))
    page.wait_for_selector("#waiting:not([hidden])")
    note = page.inner_text("#waiting")
    assert said in note
    assert f"{new} (new.csv) is new." in note
    assert "raw_alerts" not in note, "no word for operators"
    page.goto(address(folder, "index.html", "all-cities"))
    page.wait_for_selector("[data-city=tiny_city] .present:not([hidden])")
    assert said in page.inner_text("[data-city=tiny_city] .present")
    assert page.inner_text("[data-city=tiny_city] .known").startswith("Now: alerts up to ")
    make_pages(copy, city.model_copy(update={"automation": "manual"}))
    page.reload()
    page.wait_for_selector("[data-city=tiny_city] .known:has-text('Stored so far: alerts up to ')", timeout=10_000)


def test_the_overview_leads_to_the_city(page: Any, folder: Path) -> None:
    page.goto(address(folder, "index.html", "all-cities"))
    page.click("text=Tiny city")
    page.wait_for_selector("body[data-drawn]")
    page.click("text=All cities")
    assert page.inner_text("h1") == "All cities"


def test_no_page_asks_another_host_or_logs_an_error(log: BrowserLog, page: Any, folder: Path) -> None:
    for file in TABS:
        if file != LAST_HOURS:
            page.goto(address(folder, file))
            page.wait_for_function(DRAWN)
    assert log.hosts == []
    assert log.console == []
