import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.alerts.days.day_words import WordFolder
from shotspotter_assets.alerts.sources.landing.daily_files import daily_since, days_of_files
from shotspotter_assets.alerts.sources.landing.received import FileVersion, ReceivedFile
from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.objects import objects_at
from shotspotter_assets_tests.made_up_city import made_up_city

DAY = date(2026, 11, 28)
NEXT = date(2026, 11, 29)
LAYER = {"kind": "arcgis", "layer": "https://maps.example.gov/0", "columns": {"time": "t"}}


FILES = {"kind": "landing", "columns": {"time": "t"}}


def a_city(**source: object) -> City:
    return made_up_city("dale", (-77.0, 38.0, -76.0, 39.0), start=date(2026, 1, 1), source=LAYER | source)


@pytest.fixture(params=["local", "s3"])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> WordFolder:
    if request.param == "local":
        return WordFolder(a_city(), objects_at(str(tmp_path / "landing")))
    server = request.getfixturevalue("s3_server")
    return WordFolder(a_city(), objects_at(f"s3://{server.bucket}/landing_{uuid.uuid4().hex}", server.client()))


def test_words_are_written_and_taken_back(words: WordFolder) -> None:
    assert (words.read().quiet, words.read().accepted) == (set(), set())
    words.add("quiet", DAY)
    words.add("accept", NEXT)
    words.objects.write("dale/quiet_2026-11-29.done.txt", b"from the vendor")
    for other in ("dale/quiet_2026-13-01", "dale/quietly_2026-11-27", "dale/deeper/quiet_2026-11-27", "dale/a.csv"):
        words.objects.write(other, b"")
    assert (words.read().quiet, words.read().accepted) == ({DAY, NEXT}, {NEXT})
    words.remove("quiet", NEXT)
    words.remove("accept", NEXT)
    assert (words.read().quiet, words.read().accepted) == ({DAY}, set())


def test_words_lie_in_the_folder_of_the_landed_files(tmp_path: Path) -> None:
    folders = {
        "dale": FILES | {"path": "packaged"},
        "from_vendor": FILES | {"folder": "from_vendor"},
    }
    for folder, source in folders.items():
        city = made_up_city("dale", (-77, 38, -76, 39), start=DAY, source=source)
        assert WordFolder(city, objects_at(str(tmp_path))).folders == [folder]


def test_words_count_in_each_landing_folder_and_are_written_to_the_first(tmp_path: Path) -> None:
    sources = {"source": FILES, "other_sources": [FILES | {"folder": "dale_reports"}]}
    city = made_up_city("dale", (-77, 38, -76, 39), start=DAY, **sources)
    words = WordFolder(city, objects_at(str(tmp_path)))
    words.add("quiet", DAY)
    assert (tmp_path / "dale" / f"quiet_{DAY}").exists()
    words.objects.write(f"dale_reports/quiet_{NEXT}.txt", b"from the vendor")
    assert words.read().quiet == {DAY, NEXT}
    words.remove("quiet", NEXT)
    assert words.read().quiet == {DAY}


def files(*names: str, rows: Iterable[date] = (), received: date = NEXT) -> dict[str, ReceivedFile]:
    written = datetime(received.year, received.month, received.day, 12, tzinfo=UTC)
    return {
        name: ReceivedFile(version=FileVersion("1"), received=written, days=dict.fromkeys(rows, ("1", 3)))
        for name in names
    }


def covered(landed: dict[str, ReceivedFile], form: str | None = None) -> set[date]:
    return set(days_of_files(landed, form, a_city().zone).values())


SPELLINGS = (
    "%Y-%m-%d", "%Y%m%d", "%Y_%m_%d", "%m-%d-%Y", "%d.%m.%Y", "%m%d%Y", "%m-%d-%y", "%b %d", "Shots %b %d (2)", "%B %d, %Y",
    "%d-%b-%y", "%d%b%Y", "%d %B", "drop_%Y%m%d_0600", "%A %b. %dth",
)  # fmt: skip


@given(
    day=st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    form=st.sampled_from(SPELLINGS),
    has_rows=st.booleans(),
    days_later=st.integers(1, 14),
)
def test_a_day_in_a_name_in_any_usual_spelling_makes_a_daily_file(
    day: date, form: str, has_rows: bool, days_later: int
) -> None:
    rows = (day,) if has_rows else ()
    landed = files(f"{day:{form}}.xlsx", rows=rows, received=day + timedelta(days=days_later))
    assert covered(landed) == {day}


OF_SEVERAL_DAYS = ("2026-11-27_to_2026-11-28", "Nov 27-28", "27-28 Nov", "week of Nov 28", "since 2026-11-28", "November 2026",
                   "2026-11-27-28", "816-109582", "alerts (28)", "District 12-3-4", "Mayor 7")  # fmt: skip


@pytest.mark.parametrize("name", OF_SEVERAL_DAYS)
def test_names_of_several_days_or_of_none_make_no_daily_file(name: str) -> None:
    assert covered(files(f"{name}.csv")) == set()


def test_name_and_rows_decide_together() -> None:
    assert covered(files("correction_2026-11-28.csv")) == {DAY}
    export = files("export_2026-11-28.csv", received=DAY)
    assert covered(export) == set(), "written on that day, the file may be of the days before"
    assert covered(files("export_2026-11-28.csv", rows=(date(2026, 1, 5), DAY))) == set(), "the date of an export"
    assert covered(files("daily_2026-11-28.csv", rows=(NEXT,))) == set()
    assert covered(files("daily_2026-11-28.csv", rows=(DAY, NEXT))) == {DAY}, "the night goes on"
    assert covered(files("Nov 28.csv", received=date(2027, 6, 1))) == set(), "of either year"
    assert covered(files("03-04-2026.csv", received=date(2026, 3, 5))) == {date(2026, 3, 4)}
    assert covered(files("03-04-2026.csv", received=date(2026, 4, 5))) == {date(2026, 4, 3)}
    assert covered(files("28.11.2026.csv"), "%d.%m.%Y") == {DAY}


def daily_files(*days: date) -> dict[str, ReceivedFile]:
    return {name: file for day in days for name, file in files(f"{day:%j}.csv", rows=(day,), received=day).items()}


def test_files_of_one_day_each_make_a_daily_folder() -> None:
    days = [date(2026, 11, day) for day in (20, 21, 22)]
    zone = a_city().zone
    history = files("history.csv", rows=(*days, DAY), received=days[0])
    assert daily_since(history | daily_files(*days), None, zone) == days[0]
    later = files("Nov 28.csv", rows=(DAY,))
    assert daily_since(files("history.csv", rows=days[:2]) | later, None, zone) == days[2], "the first missing one"
    assert daily_since(history, None, zone) is None
    assert daily_since({}, "%Y-%m-%d", zone) is None
    bursts = files(*"abcdefgh", rows=(DAY,))
    assert daily_since(bursts, None, zone) is None, "several files of one day"


def test_a_history_that_lands_after_daily_files_counts_as_one_before() -> None:
    days = [date(2026, 11, day) for day in (20, 21, 22)]
    earlier = (date(2026, 11, 10), date(2026, 11, 17))
    since = {
        daily_since(files("history.csv", rows=earlier, received=landed) | daily_files(*days), None, a_city().zone)
        for landed in (date(2026, 11, 18), date(2026, 11, 21), date(2026, 12, 1))
    }
    assert since == {date(2026, 11, 18)}


@pytest.mark.parametrize("form", [None, "daily_%Y-%m-%d"])
def test_old_single_files_and_corrections_begin_no_series_of_daily_files(form: str | None) -> None:
    zone = a_city().zone
    first = date(2026, 6, 1)
    old = date(2020, 1, 5)
    series = [first + timedelta(days=day) for day in range(90) if day not in (1, 2, 40, 41, 42)]
    daily = {f"daily_{day}.csv": file for day, file in zip(series, daily_files(*series).values(), strict=True)}
    assert daily_since(daily, form, zone) == first
    for name, rows in {f"correction_{old}.csv": (old,), f"daily_{old}.csv": (old,), f"daily_{DAY}.csv": ()}.items():
        assert daily_since(files(name, rows=rows) | daily, form, zone) == first
    assert daily_since(dict(list(daily.items())[:2]), form, zone) == first, (
        "a missing file among the first ones is a gap"
    )
