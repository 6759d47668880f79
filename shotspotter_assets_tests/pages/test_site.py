import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from markupsafe import escape

from shotspotter_assets.alerts.checks.all_checks import keep_findings
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.days.city_now import stored_now
from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.box import Grid
from shotspotter_assets.cities.layers import Layer, Layers
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.cities.publication import Acknowledged, NowcastRules
from shotspotter_assets.cities.stored_settings import GRID, grid_settings
from shotspotter_assets.forecasts import issued_forecasts
from shotspotter_assets.forecasts.daily_forecast import withheld
from shotspotter_assets.forecasts.issued_forecasts import is_of_grid
from shotspotter_assets.forecasts.patrol.dispatch import read_plan, write_plan
from shotspotter_assets.forecasts.seals import head_of
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.addresses import Status, show_now
from shotspotter_assets.pages.first_page import newest_forecast
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.public import write_annual_report
from shotspotter_assets.pages.rendering import amount
from shotspotter_assets.pages.site import TABS, PagesRecord, make_overview, make_pages
from shotspotter_assets.storage.catalogue import (
    FORECAST,
    FORECAST_RECORD,
    HOURLY,
    PAGE,
    PAGES_RECORD,
    PLAN,
    STATUS,
    TENSORS,
    TOP_STREETS,
    Asset,
)
from shotspotter_assets.storage.lineage import Origin, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES, StoredFile
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.pages.conftest import copy_store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, HOSTILE, SHIFTS, TinySite, layers


def page(store: Store, file: str = "index.html") -> str:
    return store.read_bytes(PAGE.named(file=file), CITY).decode()


def drawn(store: Store) -> list[dict[str, Any]]:
    """The data of the forecast before the newest one, and of the newest one."""
    text = page(store, "forecast.js")
    found: list[dict[str, Any]] = json.loads(text[text.index("[") : text.rindex("]") + 1])
    return found


def test_only_changed_files_are_written_again(copy: Store, tiny_site: TinySite) -> None:
    same = make_pages(copy, tiny_site.city)
    assert same.written == []
    assert len(same.hashes) > 2
    layers = tiny_site.city.layers.model_copy(update={"streets": None})
    changed = make_pages(copy, tiny_site.city.model_copy(update={"layers": layers, "streets": None})).written
    assert "ground.js" in changed
    assert "past.html" not in changed


class DyingStore(Store):
    """A store whose process ends at one of its writes."""

    def __init__(self, root: str, writes: int) -> None:
        super().__init__(root)
        self.writes_left = writes

    def write_bytes(self, file: StoredFile, data: bytes, city: str, day: date | None = None) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise KeyboardInterrupt
        super().write_bytes(file, data, city, day)


@pytest.fixture(scope="module")
def from_scratch(tiny_site: TinySite, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, bytes]]:
    """The pages made in an empty folder, by whether the newest forecast is withheld."""
    store = copy_store(tiny_site.store, tmp_path_factory.mktemp("from_scratch") / "store")
    folder = Path(store.root) / "city_pages" / f"city={CITY}"
    made = {}
    for is_withheld in (False, True):
        if is_withheld:
            withhold(store, tiny_site)
        shutil.rmtree(folder)
        make_pages(store, tiny_site.city)
        made[is_withheld] = contents(folder)
    return made


def withhold(store: Store, site: TinySite) -> None:
    """Withhold the newest forecast."""
    history = CityHistory.load(store, site.city, site.last_issued)
    issued_forecasts.write_forecast(store, withheld(store, history, "The source is silent."))


LOST_FILES = ("pages.json", "index.html", "plan.csv")
KILLED_AFTER = ((1, False), (5, True), (11, False))
"""A number of writes, and whether the newest forecast is withheld before the next run."""


@pytest.mark.parametrize(
    ("damage", "is_withheld"), [*((file, withheld) for file in LOST_FILES for withheld in (False, True)), *KILLED_AFTER]
)
def test_a_run_repairs_every_state_of_the_folder(
    copy: Store,
    tiny_site: TinySite,
    from_scratch: dict[bool, dict[str, bytes]],
    damage: str | int,
    is_withheld: bool,
) -> None:
    folder = Path(copy.root) / "city_pages" / f"city={CITY}"
    city = tiny_site.city
    other = city.model_copy(update={"public": True, "patrol": None, "streets": None})
    if isinstance(damage, str):
        make_pages(copy, other)
        if damage == "pages.json" and is_withheld:
            (folder / damage).write_text("{")
        else:
            (folder / damage).unlink(missing_ok=True)
    else:
        with suppress(KeyboardInterrupt):
            make_pages(DyingStore(copy.root, damage), other)
    if is_withheld:
        withhold(copy, tiny_site)
    make_pages(copy, city)
    assert contents(folder) == from_scratch[is_withheld]


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return found | {"pages.json": json.dumps(json.loads(found["pages.json"]), sort_keys=True).encode()}


def test_a_corrected_day_is_rebuilt_and_the_others_are_kept(copy: Store, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    before = PagesRecord.find(copy, CITY)
    copy.write_table(TENSORS, copy.read_table(TENSORS, CITY, day)[:0], CITY, day)
    record_lineage(copy, Asset.GRID_TENSORS, CITY, {day: Origin("no alerts")})
    made = make_pages(copy, tiny_site.city)
    after = PagesRecord.find(copy, CITY)
    assert [one for one in after.past if after.past[one] != before.past[one]] == [f"day-{day}.js"]
    assert "0 alerts came" in page(copy, f"day-{day}.js")
    assert [name for name in made.written if name.startswith("day-")] == [f"day-{day}.js"]


def test_hostile_names_are_escaped_and_a_page_allows_only_its_own_scripts(tiny_site: TinySite) -> None:
    html = page(tiny_site.store)
    assert HOSTILE not in html
    assert "default-src &#39;none&#39;; script-src &#39;self&#39;" in html


def test_pages_name_the_likeliest_streets_and_those_of_each_placed_unit(tiny_site: TinySite) -> None:
    store = tiny_site.store
    day = tiny_site.last_issued
    top = store.read_table(TOP_STREETS, CITY, day).to_pylist()
    text = page(store, "forecast.js")
    assert all(row["name"] in text and row["why"] in text for row in top)
    plan = store.read_table(PLAN, CITY, day).to_pylist()
    with_streets = [row for row in plan if row["streets"]]
    assert with_streets
    assert all(str(escape("; ".join(row["streets"]))) in page(store) for row in with_streets)


def test_each_shift_has_the_totals_of_its_plan(tiny_site: TinySite) -> None:
    _, audit = read_plan(tiny_site.store, CITY, tiny_site.last_issued)
    html = page(tiny_site.store)
    radius = round(tiny_site.city.patrol.radius_m)
    for shift in audit.shifts:
        assert f"<strong>{amount(shift.expected_alerts)} alerts</strong> are expected" in html
        assert (
            f"{shift.units} units cover {amount(shift.covered)} of them in the cells within reach ({radius} m)." in html
        )
        assert f"covers a part of the {amount(shift.within_reach)} expected alerts within reach of the units" in html
        assert f"One more unit would cover {amount(shift.one_more_unit)} more expected alerts" in html
    total = amount(sum(shift.expected_alerts for shift in audit.shifts))
    assert f"The shifts add up to {total} alerts, the day from midnight to midnight has " in html
    assert "night ends on the next day; no shift has 14:00 to 22:00." in html


def test_units_that_were_drawn_say_so(copy: Store, tiny_site: TinySite) -> None:
    assert "drawn by lot" not in page(tiny_site.store)
    table, record = read_plan(copy, CITY, tiny_site.last_issued)
    at = table.column_names.index("chance")
    drawn_table = table.set_column(at, PLAN.schema.field("chance"), [[0.4] * len(table)])
    write_plan(copy, record, drawn_table)
    make_pages(copy, tiny_site.city)
    assert "drawn by lot, chance 0.4" in page(copy)
    assert ",0.4," in page(copy, "plan.csv")


def test_last_hours_have_a_tab_only_where_there_are_nowcasts(copy: Store, tiny_site: TinySite) -> None:
    assert "last_hours.html" not in page(copy)
    make_pages(copy, tiny_site.city.model_copy(update={"nowcasts": NowcastRules(every_seconds=60)}))
    assert "last_hours.html" in page(copy)
    assert "No nowcasts yet" in page(copy, "last_hours.html")


def test_a_city_without_shifts_has_parts_of_six_hours_without_units(copy: Store, tiny_site: TinySite) -> None:
    make_pages(copy, tiny_site.city.model_copy(update={"patrol": None}))
    html = page(copy)
    assert all(f'id="shift={name}"' in html for name in ("Morning", "Midday", "Evening", "Night"))
    assert "Night, 22:00 to 04:00" in html
    assert 'id="day=Whole+day"' in html
    assert "4/-1" in drawn(copy)[-1]["views"]
    assert " unit" not in html[html.index("<main>") : html.index("The model behind")]


def test_a_city_of_days_has_the_whole_day(copy: Store, tiny_site: TinySite) -> None:
    shutil.rmtree(Path(copy.root) / "city_pages")
    make_pages(copy, tiny_site.city.model_copy(update={"time_precision": "day"}))
    assert re.findall('data-kind="([^"]*)"', page(copy)) == ["day", "day"]
    assert " plan" not in page(copy, "past.html") + page(copy, f"day-{tiny_site.last_issued}.js")


def test_a_shift_may_be_named_like_the_day_and_have_no_reach(copy: Store, tiny_site: TinySite) -> None:
    shifts = (tiny_site.city.patrol.shifts[0].model_copy(update={"name": "Whole day"}),)
    table, record = read_plan(copy, CITY, tiny_site.last_issued)
    names = pc.replace_substring(table["shift"], "day", "Whole day")
    copy.write_table(PLAN, table.set_column(1, table.schema.field(1), names), CITY, tiny_site.last_issued)
    totals = replace(record.shifts[0], shift="Whole day")
    record.model_copy(update={"shifts": (totals,), "radius_m": 0.0}).write(copy)
    patrol = tiny_site.city.patrol.model_copy(update={"shifts": shifts, "radius_m": 0.0})
    make_pages(copy, tiny_site.city.model_copy(update={"patrol": patrol}))
    assert re.findall('id="([^"]*=Whole.day)"', page(copy))[-2:] == ["shift=Whole+day", "day=Whole+day"]
    newest = drawn(copy)[-1]
    assert (newest["has_units"], newest["reach"]) == ([True, False], 0)


def test_shifts_of_similar_names_have_addresses_of_their_own(copy: Store, tiny_site: TinySite) -> None:
    shifts = tuple(Shift(name=name, start=at, end=at + 8, units=1) for at, name in enumerate(("A B", "A-B", "A_B")))
    make_pages(copy, tiny_site.city.model_copy(update={"patrol": PatrolRules(shifts=shifts)}))
    assert re.findall('href="#(shift=[^"]*)"', page(copy)) == ["shift=A+B", "shift=A-B", "shift=A_B"]


@pytest.mark.parametrize(
    "change", [{}, {"radius_m": 2000.0}, {"shifts": (SHIFTS[0], Shift(name="night", start=20, end=4, units=3))}]
)
def test_units_are_shown_only_for_the_rules_of_their_plan(
    copy: Store, tiny_site: TinySite, change: dict[str, Any]
) -> None:
    make_pages(copy, tiny_site.city.model_copy(update={"patrol": tiny_site.city.patrol.model_copy(update=change)}))
    shown = {"radius_m": [False, False, False], "shifts": [True, False, False]}
    of_rules = shown.get(next(iter(change), ""), [True, True, False])
    assert [day["has_units"] for day in drawn(copy)] == [of_rules, of_rules]


@pytest.mark.parametrize("file", [PLAN, HOURLY, FORECAST, FORECAST_RECORD])
@pytest.mark.parametrize("content", [b"{", None])
def test_wrong_files_of_the_day_before_leave_out_its_parts(
    copy: Store, tiny_site: TinySite, file: StoredFile, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    before = tiny_site.last_issued - timedelta(days=1)
    copy.delete(file, CITY, before) if content is None else copy.write_bytes(file, content, CITY, before)
    make_pages(copy, tiny_site.city)
    without_units = [] if content is not None or file != PLAN else [[False, False, False]]
    assert [day["has_units"] for day in drawn(copy)] == [*without_units, [True, True, False]]
    is_usual = content is None and file in {PLAN, FORECAST_RECORD}  # such as no plan, and a city's first forecast
    assert ("leave out the day before" in caplog.text) is not is_usual


def test_a_night_over_midnight_has_the_hours_of_both_forecasts(copy: Store, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued
    before = tiny_site.last_issued - timedelta(days=1)
    tables = {at: copy.read_table(HOURLY, CITY, at) for at in (before, day)}
    newest = tables[day]
    half = pc.multiply(newest["expected"], 0.5)
    copy.write_table(HOURLY, newest.set_column(newest.column_names.index("expected"), "expected", half), CITY, day)
    make_pages(copy, tiny_site.city)
    midnight = newest["starts_utc"][0].as_py()
    evening, morning = (
        pc.sum(table.filter((hour >= first) & (hour < last))["expected"]).as_py()
        for hour in [pc.field("starts_utc")]
        for table, first, last in (
            (tables[before], midnight - timedelta(hours=2), midnight),
            (newest, midnight, midnight + timedelta(hours=6)),
        )
    )
    night = page(copy).split('id="before=night"')[1]
    assert f"<strong>{amount(evening + morning / 2)} alerts</strong> are expected" in night[:1500]


def test_the_first_page_says_what_changed_since_the_day_before(copy: Store, tiny_site: TinySite) -> None:
    before, newest = (
        issued_forecasts.load_record(copy, CITY, tiny_site.last_issued - timedelta(days=back)) for back in (1, 0)
    )
    expected = amount(newest.expected_alerts)
    assert f"{expected} alerts expected instead of {amount(before.expected_alerts)}" in page(copy)
    newest.model_copy(update={"served": "ew_kde"}).write(copy)
    make_pages(copy, tiny_site.city)
    assert "; made by the recency-weighted map instead of" in page(copy)
    same = newest.model_dump(include={"expected_alerts", "served"})
    before.model_copy(update=same).write(copy)
    newest.write(copy)
    for at in (before.issue_date, newest.issue_date):
        copy.delete(PLAN, CITY, at)
    make_pages(copy, tiny_site.city)
    assert "Since the forecast for" not in page(copy)


def test_the_first_page_says_what_is_known_now_and_was_known_when_issued(copy: Store, tiny_site: TinySite) -> None:
    record = issued_forecasts.load_record(copy, CITY, tiny_site.last_issued)
    data = "alerts up to 16 November 2023; the 17th is not known"
    issued = {"data": data, "issued_at": "2023-11-17T17:05:00+00:00", "replayed": False}
    record.model_copy(update=issued).write(copy)
    make_pages(copy, tiny_site.city)
    when_issued = f"When issued at 12:05 on 17 Nov 2023: {data}."
    known = "alerts up to 18 November 2023; the source has ended"
    assert f"{when_issued} Stored so far: {known}." in page(copy), "no sensor has compared the sources"
    assert json.loads(page(copy, "status.json"))["data"] == known
    city = tiny_site.city.model_copy(update={"automation": "recent"})
    show_now(copy, city, stored_now(city, DayTable.read(copy, CITY), local_time.now()))
    make_pages(copy, city)
    assert f"{when_issued} Now: {known}." in page(copy)


def test_nothing_of_later_days_is_said_beside_a_replayed_forecast(copy: Store, tiny_site: TinySite) -> None:
    record = issued_forecasts.load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"last_known": date(2023, 11, 16), "replayed": True}).write(copy)
    make_pages(copy, tiny_site.city)
    assert '<span id="known">From data up to 16 November 2023.</span>' in page(copy)
    assert json.loads(page(copy, "status.json"))["made"] == ""


def test_sentences_cleared_while_pages_are_made_do_not_stay(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"automation": "recent"})

    class ClearedMeanwhile(Store):
        def update(self, file: StoredFile, *args: Any, **how: Any) -> None:
            if file == PAGES_RECORD:
                show_now(copy, city, present)
            super().update(file, *args, **how)

    present = stored_now(city, DayTable.read(copy, city.name), datetime(2024, 3, 2, tzinfo=UTC))
    landed = present.model_copy(update={"waits": ("daily_2024-03-01.csv.",)})
    show_now(copy, city, landed)
    assert "2024-03-01" in page(copy, "waiting.js")
    make_pages(ClearedMeanwhile(copy.root), city)
    assert "2024-03-01" not in page(copy, "waiting.js") + page(copy, "status.json")
    show_now(copy, city, landed)
    make_pages(copy, city.model_copy(update={"automation": "manual"}))
    assert "2024-03-01" not in page(copy, "waiting.js") + page(copy, "status.json"), "in a manual city nothing waits"


def test_alerts_before_a_long_lead_are_dated(copy: Store, tiny_site: TinySite) -> None:
    record = issued_forecasts.load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"last_known": date(2023, 10, 1), "lead": 48}).write(copy)
    make_pages(copy, tiny_site.city)
    assert "there in the 4 weeks to 1 Oct 2023" in page(copy)


def test_every_place_links_to_maps(tiny_site: TinySite) -> None:
    html = page(tiny_site.store)
    links = re.findall(
        r'href="geo:38\.\d+,-77\.\d+">Map app</a>\s*<a class="screen" href="https://www.openstreetmap.org', html
    )
    assert len(links) == html.count('<li value="') > 10


def test_places_show_recent_alerts_and_shared_reasons(tiny_site: TinySite) -> None:
    html = page(tiny_site.store)
    assert re.search(r"\d+ alerts there in 4 weeks", html)
    assert "All of these places: " in html


def test_ranked_streets_name_places_where_no_others_do(copy: Store, tiny_site: TinySite) -> None:
    layers = tiny_site.city.layers.model_copy(update={"streets": None})
    written = make_pages(copy, tiny_site.city.model_copy(update={"layers": layers})).written
    assert not {"ground.js", "index.html"} & set(written)


def test_a_day_without_a_forecast_has_a_page_with_the_reason(copy: Store, tiny_site: TinySite) -> None:
    day = tiny_site.last_issued + timedelta(days=1)
    reason = "No forecast is issued, as <nothing> is known."
    issued_forecasts.write_forecast(
        copy,
        issued_forecasts.NoForecast(
            city=CITY, issue_date=day, forecast_date=day, lead=20, last_known=tiny_site.last_issued, no_forecast=reason,
            last_issued=tiny_site.last_issued,
        ),
    )  # fmt: skip
    make_pages(copy, tiny_site.city)
    assert Status.load(copy, CITY).no_forecast == reason
    assert "as &lt;nothing&gt; is known" in page(copy)
    assert len(drawn(copy)) == 1  # hours of the day before may lie ahead


def test_forecasts_of_another_grid_are_not_drawn(copy: Store, tiny_site: TinySite) -> None:
    wider = tiny_site.city.model_copy(update={"grid": Grid(rows=7, columns=7)})
    record = issued_forecasts.load_record(copy, CITY, tiny_site.last_issued)
    record.model_copy(update={"data": "alerts up to 16 November 2023; the 17th is held back"}).write(copy)
    for day in copy.days_present(FORECAST, CITY):
        table = copy.read_table(FORECAST, CITY, day)
        assert is_of_grid(table, tiny_site.city)
        facts = table.schema.metadata | {GRID.encode(): grid_settings(wider)}
        copy.write_table(FORECAST, table.replace_schema_metadata(facts), CITY, day)
    shutil.rmtree(Path(copy.root) / "city_pages")  # made before the change
    make_pages(copy, tiny_site.city)
    assert "cells or counted events have changed" in Status.load(copy, CITY).no_forecast
    assert "cannot be drawn" in page(copy)
    assert "held back" in newest_forecast(copy, tiny_site.city, Places(tiny_site.city)).nothing.data
    record = PagesRecord.find(copy, CITY)
    assert record.past == {}
    assert not issued_forecasts.next_day_forecasts(copy, tiny_site.city, date.min + timedelta(days=1), date.max)


def test_open_warnings_of_the_newest_days_are_on_the_pages(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city
    days = [tiny_site.last_issued - timedelta(days=back) for back in (100, 1)]
    found = [Finding(False, text, {}, {day: 1.0}) for text, day in zip(("Old <b>.", "New <b>."), days, strict=True)]
    for day, finding in zip(days, found, strict=True):
        keep_findings(copy, city, [day], {"clock": finding})
    make_pages(copy, city)
    for file in ("index.html", "past.html"):
        assert "New &lt;b&gt;." in page(copy, file)
        assert "Old" not in page(copy, file)
    accepted = Acknowledged(check="clock", first=days[1], by="A. Smith", on=days[1])
    make_pages(copy, city.model_copy(update={"acknowledged": (accepted,)}))
    assert "New &lt;b&gt;." not in page(copy)


def test_a_city_of_held_back_days_has_a_page_with_the_reason(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    day = date(2024, 1, 2)
    DayTable.update(store, CITY, {day: Day("held_back", "9 of 9 rows cannot be used.", 9, 9, "", None, {})})
    make_pages(store, CITIES[CITY])
    for part in ("1 day held back", str(day), "9 of 9 rows cannot be used."):
        assert part in page(store)
        assert part in Status.load(store, CITY).no_forecast


def test_a_target_without_models_has_a_page_with_the_reason(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"targets": {"gunfire": ("gunshots",), "theft": ("gunshots",)}})
    make_pages(copy, city)
    assert 'href="theft/index.html"' in page(copy)
    assert "No forecast of theft has been made yet" in page(copy, "theft/index.html")
    assert "planned for all targets together" in page(copy)


def test_every_page_and_report_shows_the_head_of_the_seals(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"public": True})
    write_annual_report(copy, city, date(tiny_site.last_issued.year, 1, 1))
    make_pages(copy, city)
    make_overview(copy, [CITY])
    head = head_of(copy.of(city.target), CITY)
    assert head is not None
    folder = Path(copy.root, "city_pages")
    pages = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.html")}
    files = ("track_record.html", "public/index.html", f"annual_report_{tiny_site.last_issued.year}.html")
    assert {f"city={ALL_CITIES}/index.html", *(f"city={CITY}/{file}" for file in files)} <= pages.keys()
    assert [name for name, text in pages.items() if f"<code>{head}</code>" not in text] == []
    assert json.loads(copy.read_bytes(STATUS, CITY))["seal"] == head


def test_titles_come_from_the_file_of_the_city(copy: Store, tiny_site: TinySite) -> None:
    make_pages(copy, tiny_site.city.model_copy(update={"title": "Tiny & Co"}))
    assert '<p class="city">Tiny &amp; Co ' in page(copy)
    assert "<title>Now - Tiny &amp; Co</title>" in page(copy)


def test_an_empty_city_has_a_page_with_the_next_step(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_pages(store, CITIES[CITY])
    assert "The guide on daily runs tells how to add earlier days." in page(store)


def test_a_city_without_a_forecast_has_pages_that_say_so(copy: Store, tiny_site: TinySite) -> None:
    shutil.rmtree(f"{copy.root}/risk_forecasts")
    made = make_pages(copy, tiny_site.city)
    assert Status.load(copy, CITY).no_forecast.startswith("No forecast of gunfire has been made yet")
    assert not copy.exists(PAGE.named(file="past.html"), CITY)
    assert not copy.exists(PAGE.named(file="plan.csv"), CITY)
    assert set(made.record.files) & {*TABS} == {"index.html", "accountability.html"}
    assert "past.html" not in page(copy)


def test_pages_go_on_without_layers_that_cannot_be_used(tmp_path: Path) -> None:
    given = layers(tmp_path)
    store = Store(str(tmp_path / "store"))
    (tmp_path / "broken.geojson").write_text("{")
    districts = Layer(path=given.districts.path, name="wards")
    broken = Layer(path=tmp_path / "broken.geojson", name="a")
    made = make_pages(
        store,
        CITIES[CITY].model_copy(update={"layers": Layers(districts=districts, streets=broken, parks=given.parks)}),
    )
    no_districts, no_streets = made.problems
    wrong = "City tiny_city, layers.districts: wards.geojson has no column wards; it has ward. Correct `name`"
    assert no_districts == f"{wrong}. Pages are made without it."
    assert no_streets.startswith("City tiny_city, layers.streets: broken.geojson cannot be read: ")
    assert no_districts in page(store)
    assert "West Park" in page(store, "ground.js")
