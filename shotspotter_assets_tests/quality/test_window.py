import re
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.dates import rows_of_days
from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.quality.all_checks import ALL_CHECKS, all_findings
from shotspotter_assets.quality.window import BLOCK_DAYS, Block, Window
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS, REJECTED
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.quality.sound_city import CITY, FIRST, LAST, city_of, findings, firing, local_day, sound

MARCH = days_between(date(2024, 3, 1), date(2024, 3, 31))


def test_blocks_are_years_back_from_the_end() -> None:
    days, table = days_between(FIRST, LAST), pa.table({})

    def blocks(checked: list[date], stored: list[date]) -> list[Block]:
        return Window(CITY, checked, stored, table, table, table).blocks()

    assert blocks(days, days) == [Block(FIRST, date(2024, 1, 1)), Block(date(2024, 1, 2), LAST)]
    assert blocks(days[-1:], days) == [Block(LAST - timedelta(days=BLOCK_DAYS - 1), LAST)]
    assert blocks(days[-1:], days[-10:]) == [Block(days[-10], LAST)]


@pytest.mark.parametrize("files", [1, 2])
def test_stored_days_make_the_window_of_their_tables(files: int, tmp_path: Path) -> None:
    rows = sound(seed=3)
    if files == 2:
        again = rows[local_day(rows).isin(MARCH)]
        again = again.assign(time_utc=again["time_utc"] + pd.Timedelta(seconds=1), source_id=None)
        rows = pd.concat([rows, again.assign(received_from="march again.csv")])
    city, store = city_of(rows), Store(str(tmp_path))
    for file, tables in (
        (RAW_ROWS, rows_of_days(city.raw.sort_by("date"), city.days)),
        (CLEANED, {day: cleaned.alerts for day, cleaned in city.cleaned.items()}),
        (REJECTED, {day: cleaned.rejected for day, cleaned in city.cleaned.items()}),
    ):
        store.write_tables(file, tables, CITY.name)
    window = Window.load(store, CITY, MARCH)
    assert all_findings(window) == all_findings(city.window(MARCH))
    assert all_findings(window)["duplicates"].passed == (files == 1)


def test_sound_data_raise_no_warning() -> None:
    for seed, per_day in ((1, 12.0), (2, 1.0), (3, 60.0)):
        rows = sound(per_day, seed)
        assert firing(rows) == {}
        for day in (date(2024, 3, 9), date(2024, 7, 4), date(2024, 12, 31)):
            assert firing(rows, days=[day]) == {}


def test_a_check_passes_where_it_has_nothing_to_check() -> None:
    first_days = [FIRST + timedelta(days=at) for at in range(5)]
    found = findings(city_of(sound(1.0, seed=3)).window(first_days))
    assert all(finding.passed for finding in found.values())
    for name in ("unusual_days", "silent_days", "level_change", "new_area"):
        assert found[name].message.startswith("Not enough days"), name
    assert found["points"].message.startswith("Fewer than 20 incidents")
    assert found["clock"].message.startswith("Fewer than 100 alerts")
    empty = sound(1.0, seed=3)
    empty = empty[local_day(empty) > first_days[-1]]
    assert findings(city_of(empty).window(first_days))["share_rejected"].message == "No rows to check."


def test_the_docs_list_all_checks_in_order() -> None:
    section = (CHECKOUT / "docs" / "data.md").read_text().partition("## The checks")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ALL_CHECKS)
