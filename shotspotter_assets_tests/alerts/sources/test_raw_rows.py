import json
import logging
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shotspotter_assets.alerts.sources.alert_source import AlertSource, NoFilesError, SourceError
from shotspotter_assets.alerts.sources.raw_rows import to_raw
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA, keep_first_seen, read_sources
from shotspotter_assets.alerts.sources.tabular_settings import Columns, LandingSettings, NaiveTimes, finder
from shotspotter_assets.alerts.sources.written_times import read_times
from shotspotter_assets.city_files import load_city
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
USUAL_FORMS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S",
    "%m-%d-%Y %H:%M:%S", "%m/%d/%y %I:%M:%S%p", "%d-%b-%Y %H:%M:%S", "%d-%b-%y %I:%M:%S %p", "%B %d, %Y, %I:%M:%S %p",
    "%b %d %Y %H:%M:%S", "%d %B %Y %H:%M:%S",
)  # fmt: skip


def source(time_of_day: str | None = None, **rules: Any) -> LandingSettings:
    return LandingSettings(kind="landing", columns=Columns(time="when", time_of_day=time_of_day), **rules)


def raw_of(times: Any, clocks: Any = None, naive_times: NaiveTimes = "local", **rules: Any) -> pa.Table:
    columns = {"when": times, "longitude": [-76.5] * len(times), "latitude": [38.5] * len(times)}
    if clocks is not None:
        columns["clock"] = clocks
    about = source("clock" if clocks is not None else None, naive_times=naive_times, **rules)
    days = (date(1900, 1, 1), date(2100, 1, 1))
    return to_raw(pa.table(columns), CITY.site, about, "a.csv", datetime.now(UTC), CITY.start, days)


def wall(times: list[str | None], **rules: Any) -> list[str | None]:
    column = pa.chunked_array([pa.array(times, pa.string())])
    _, moments = read_times(column, None, source(**rules), "City x: a.csv")
    return [None if pd.isna(moment) else str(moment) for moment in moments.astype("datetime64[s]")]


@settings(max_examples=30, deadline=None)
@given(
    moments=st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2060, 1, 1)), min_size=1, max_size=5),
    form=st.sampled_from(USUAL_FORMS),
    whole_days=st.booleans(),
)
def test_usual_forms_are_read_as_strftime_wrote_them(moments: list[datetime], form: str, whole_days: bool) -> None:
    if whole_days:
        form = form.split("%H", maxsplit=1)[0].split("%I", maxsplit=1)[0].rstrip(" ,T")
        moments = [m.replace(hour=0, minute=0, second=0) for m in moments]
    # A day after the 12th settles which of the two comes first.
    texts = [moment.strftime(form) for moment in [*moments, datetime(2020, 1, 31)]]
    expected = [moment.replace(microsecond=0).isoformat() for moment in moments]
    assert wall(texts)[:-1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("07/13/2018 11:58:53 PM", "2018-07-13T23:58:53"),
        ("7/13/2018 23:58", "2018-07-13T23:58:00"),
        ("7/3/2018 1:02 am", "2018-07-03T01:02:00"),
        ("7/13/2018 12:00 a.m.", "2018-07-13T00:00:00"),
        ("13-JUL-2018 23:58", "2018-07-13T23:58:00"),
        ("13-Jul-18", "2018-07-13T00:00:00"),
        ("Sept. 3, 2018 5:28 PM", "2018-09-03T17:28:00"),
        (" 2018-07-13 5:28 PM ", "2018-07-13T17:28:00"),
        ("2018/7/3", "2018-07-03T00:00:00"),
        ("20180713", "2018-07-13T00:00:00"),
        ("2018-07-13T23:58:53,25", "2018-07-13T23:58:53"),
        ("20180713T235853", "2018-07-13T23:58:53"),
    ],
)
def test_single_forms(text: str, expected: str) -> None:
    assert wall([text]) == [expected]


@pytest.mark.parametrize(
    "text",
    ["12/31/9999 10:00", "2018", "02/30/2018", "7/13/2018 24:00", "7/13/2018 13:00 PM", "13-Foo-2018", "1/1/1850",
     "7/13/2018 and later", "", None],
)  # fmt: skip
def test_other_forms_are_no_times(text: str | None) -> None:
    assert wall([text]) == [None]


def test_the_order_of_day_and_month_is_that_of_the_whole_column(caplog: pytest.LogCaptureFixture) -> None:
    assert wall(["1/2/2018", "13/2/2018"]) == ["2018-02-01T00:00:00", "2018-02-13T00:00:00"]
    assert wall(["1/2/2018", "2/13/2018"]) == ["2018-01-02T00:00:00", "2018-02-13T00:00:00"]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert wall(["1/2/2018", "3/4/2018"]) == ["2018-01-02T00:00:00", "2018-03-04T00:00:00"]
        assert "City x: a.csv: every date can be read as month/day and as day/month" in caplog.text
        mixed = wall(["13/2/2018", "14/2/2018", "2/13/2018", "1/2/2018"])
    assert mixed == ["2018-02-13T00:00:00", "2018-02-14T00:00:00", None, "2018-02-01T00:00:00"]
    assert "City x: a.csv: dates are written in two ways: 1 rows can only be month/day, 2 only day/month" in caplog.text
    assert "source.time_format" in caplog.text


def test_forms_may_differ_within_a_column() -> None:
    times = ["2018-07-13T23:58:53", "7/13/2018 11:58:53 PM", "2018-07-14T03:58:53Z", "7/13/2018 10:58:53 PM -05:00"]
    assert raw_of(times)["time_utc"].to_pylist() == [datetime(2018, 7, 14, 3, 58, 53, tzinfo=UTC)] * 4


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("11/03/2024 1:30 AM", "2024-11-03 05:30"),  # repeated: the daylight reading
        ("11/03/2024 2:30 AM", "2024-11-03 07:30"),
        ("03/10/2024 2:30 AM", "2024-03-10 07:30"),  # skipped: one hour later
        ("03/10/2024 1:59 AM", "2024-03-10 06:59"),
        ("03/10/2024 3:00 AM", "2024-03-10 07:00"),
    ],
)
def test_hours_of_daylight_saving(written: str, utc: str) -> None:
    found = raw_of([written, "11/30/2024"])["time_utc"][0].as_py()
    assert found == datetime.fromisoformat(f"{utc}+00:00")
    stamped = pd.to_datetime(written).strftime("%Y-%m-%dT%H:%M:00.000Z")
    assert raw_of([stamped], ignore_zone=True)["time_utc"][0].as_py() == found
    millis = int(pd.Timestamp(stamped).timestamp() * 1000)
    assert raw_of([millis], ignore_zone=True, time_format="epoch_ms")["time_utc"][0].as_py() == found
    zoned = pa.array([pd.Timestamp(stamped)], pa.timestamp("ms", "UTC"))
    assert raw_of(zoned, ignore_zone=True)["time_utc"][0].as_py() == found
    parts = stamped.split("T")
    apart = raw_of([f"{parts[0]}T00:00:00.000Z"], [f"1899-12-30T{parts[1]}"], ignore_zone=True)
    assert apart["time_utc"][0].as_py() == found


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1531526333250, None], pa.int64()),
        pa.array([1531526333250.0, None]),
        pa.array(["1531526333250", "never"]),
        pa.array([" 1531526333250.0 ", ""]),
        pa.array([1531526333250, 10**18], pa.int64()),
    ],
)
def test_epoch_numbers(values: pa.Array) -> None:
    expected = [datetime(2018, 7, 13, 23, 58, 53, 250_000, tzinfo=UTC), None]
    assert raw_of(values, naive_times="reject", time_format="epoch_ms")["time_utc"].to_pylist() == expected
    seconds = raw_of([1531526333.25, None], naive_times="reject", time_format="epoch_s")
    assert seconds["time_utc"].to_pylist() == expected


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("2/25/2014", "17:28:57", "2014-02-25T17:28:57"),
        ("2/25/2014 12:00:00 AM", "5:28:57 PM", "2014-02-25T17:28:57"),
        ("25-Feb-2014", "1899-12-30 17:28:57", "2014-02-25T17:28:57"),
        ("2014-02-25", "1728", "2014-02-25T17:28:00"),
        ("2014-02-25", "5", "2014-02-25T00:05:00"),
        ("2014-02-25", "9:05", "2014-02-25T09:05:00"),
        ("2014-02-25", "", None),
        ("2014-02-25", None, None),
        ("soon", "17:28", None),
        (None, "17:28", None),
    ],
)
def test_date_and_time_of_day_in_two_columns(day: str | None, clock: str | None, expected: str | None) -> None:
    raw = raw_of(pa.array([day], pa.string()), pa.array([clock], pa.string()), naive_times="utc")
    assert raw["time_utc"].to_pylist() == [None if expected is None else datetime.fromisoformat(f"{expected}+00:00")]
    if expected is None:
        assert json.loads(raw["as_received"][0].as_py())["clock"] == clock


def test_date_and_time_of_day_by_a_pattern_and_with_a_zone() -> None:
    expected = [datetime(2014, 2, 25, 22, 28, tzinfo=UTC)]
    assert raw_of(["25.02.14"], ["17.28"], time_format="%d.%m.%y %H.%M")["time_utc"].to_pylist() == expected
    assert raw_of(["2014-02-25"], ["22:28Z"], naive_times="reject")["time_utc"].to_pylist() == expected
    dates = pa.array([date(2014, 2, 25)])
    clocks = pa.array([17 * 3600 + 28 * 60], pa.time32("s"))
    assert raw_of(dates, clocks)["time_utc"].to_pylist() == expected


def test_ignored_zones_need_local_times() -> None:
    with pytest.raises(ValidationError, match="ignore_zone needs naive_times: local"):
        source(ignore_zone=True)


def test_a_literal_stamp_in_the_pattern() -> None:
    raw = raw_of(["2014-02-25 17:28Z"], ignore_zone=True, time_format="%Y-%m-%d %H:%MZ")
    assert raw["time_utc"].to_pylist() == [datetime(2014, 2, 25, 22, 28, tzinfo=UTC)]


def test_times_that_no_rule_explains_name_the_row() -> None:
    with pytest.raises(SourceError, match=r"a\.csv, row 2: the time '7/13/2018 23:58' has no zone.*naive_times"):
        raw_of(["", "7/13/2018 23:58"], naive_times="reject")
    with pytest.raises(SourceError, match="2018-07-13 00:00:00' has no zone"):
        raw_of(pa.array([datetime(2018, 7, 13)]), naive_times="reject")


def test_numbers_written_as_text() -> None:
    numbers = ["-76.5", "+76.5", " 76.5 ", "7.65e1", ".5", "1.", "-76,5"]
    others = ["nan", "inf", "0x10", "1e999"]
    texts = [*numbers, "1,076,5", "12abc", "", None, *others]
    table = pa.table({"when": ["2024-03-02T12:00:00Z"] * len(texts), "longitude": texts, "latitude": texts})
    about = LandingSettings(kind="landing", columns=Columns(time="when", rounds="longitude"))
    raw = to_raw(table, CITY.site, about, "a", datetime.now(UTC), CITY.start, (CITY.start, date(2024, 4, 1)))
    assert raw.schema == RAW_SCHEMA
    assert raw["longitude"].to_pylist() == [-76.5, 76.5, 76.5, 76.5, 0.5, 1.0, -76.5] + [None] * 8
    assert raw["rounds"].to_pylist() == [None] * 5 + [1] + [None] * 9
    assert raw["received_row"].to_pylist() == list(range(1, len(texts) + 1))
    kept = [None if text is None else json.loads(text)["longitude"] for text in raw["as_received"].to_pylist()]
    assert kept == [None] * 7 + texts[7:]


@pytest.mark.parametrize(("equal_rows", "separate"), [("if_rounded", "TTFF"), ("keep", "TTTF"), ("drop", "FFFF")])
def test_equal_rows_without_an_id_are_separate(equal_rows: str, separate: str) -> None:
    about = LandingSettings(kind="landing", columns=Columns(time="when", source_id="id"), equal_rows=equal_rows)
    when = ["2024-03-02T12:01:00Z", *["2024-03-02T12:00:07Z"] * 3]
    ids = [None, "", None, "a"]
    points = {"longitude": [-76.50001, -76.501, -76.501, -76.5], "latitude": [38.12345, 38.123, 38.1234, 38.5]}
    table = pa.table({"when": when, **points, "id": ids})
    raw = to_raw(table, CITY.site, about, "a", datetime.now(UTC), CITY.start, (CITY.start, date(2024, 4, 1)))
    assert "".join("FT"[flag] for flag in raw["is_separate"].to_pylist()) == separate


def test_a_path_through_another_type_finds_nothing() -> None:
    assert finder("rows[].merge(@, extra)")({"rows": [{"extra": None}]}) is None


DAY = date(2024, 3, 1)
FIRST_READ = datetime(2024, 3, 2, tzinfo=UTC)
SECOND_READ = datetime(2024, 3, 3, tzinfo=UTC)


def table(*source_ids: str, at: datetime = FIRST_READ, file: str = "a.csv") -> pa.Table:
    rows = [
        {"date": DAY, "time_utc": datetime(2024, 3, 1, 12, tzinfo=UTC), "source_id": source_id, "received_from": file,
         "received_row": row, "received_at": at}
        for row, source_id in enumerate(source_ids)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, RAW_SCHEMA)


class Files(AlertSource):
    """A landing folder; without rows, one that is missing."""

    def __init__(self, rows: pa.Table | None = None) -> None:
        self.rows = rows

    def read(self, first: date, last: date) -> pa.Table:
        if self.rows is None:
            raise NoFilesError("the folder is missing")
        return self.rows


def seen(rows: pa.Table) -> list[tuple[Any, Any]]:
    return list(zip(rows["source_id"].to_pylist(), rows["received_at"].to_pylist(), strict=True))


def test_rows_keep_the_time_at_which_they_were_first_received() -> None:
    rows = keep_first_seen(table("x", "y", at=SECOND_READ), table("y", "z"))
    assert seen(rows) == [("x", SECOND_READ), ("y", FIRST_READ)]


def test_equal_rows_are_matched_one_by_one() -> None:
    rows = keep_first_seen(table("x", "x", "x", at=SECOND_READ), table("x", "x"))
    assert rows["received_at"].to_pylist() == [FIRST_READ, FIRST_READ, SECOND_READ]
    assert seen(keep_first_seen(table("x", at=SECOND_READ), table("x", "x"))) == [("x", FIRST_READ)]


def test_the_rows_of_several_sources_are_read_in_order(caplog: pytest.LogCaptureFixture) -> None:
    rows = read_sources([Files(table("x", "y", file="b.csv")), Files(table("z"))], DAY, DAY)
    assert rows["source_id"].to_pylist() == ["z", "x", "y"]
    assert not caplog.records


def test_a_folder_without_files_is_left_out_beside_another_source(caplog: pytest.LogCaptureFixture) -> None:
    assert read_sources([Files(table("x")), Files()], DAY, DAY)["source_id"].to_pylist() == ["x"]
    assert "the folder is missing" in caplog.text
    with pytest.raises(NoFilesError, match="the folder is missing"):
        read_sources([Files(), Files()], DAY, DAY)
