"""Times as publishers write them: text in usual forms, epoch numbers, or two columns; without a zone, as a wall clock."""

import logging
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.tabular_settings import EPOCH_UNITS, TabularSettings
from shotspotter_assets.grid.dates import wall_clock_to_utc

Moments = npt.NDArray[np.datetime64]  # datetimes (datetime64[us]), shape (rows,); NaT for none
CLOCK: Final = r"\d{1,2}:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?"
HALF: Final = r"(?:(?P<half>[AaPp])\.?[Mm]\.?)?"
ZONE: Final = r"[zZ]|UTC|GMT|[+-]\d{2}(?::?\d{2})?"
PARTS: Final = rf"^(?P<day>.*?)(?:(?:^|[T ,]+)(?P<clock>{CLOCK})\s*{HALF}\s*(?P<zone>{ZONE})?)?$"
"""A date, with an optional time of day, half of the day and zone."""
WITH_ZONE: Final = rf"({CLOCK}\s*{HALF})\s*(?:{ZONE})$"  # a zone after a time of day; the end of a date is never a zone
ISO_DAY: Final = r"\d{4}-\d{2}-\d{2}|\d{8}(?:T|$)"  # the beginning of ISO 8601 times; pandas would also read a year
DAY_FORMATS: Final = ("%Y-%m-%d", "%d-%b-%Y", "%d-%b-%y", "%b-%d-%Y", "%b-%d-%y")
MONTH_FIRST: Final = ("%m-%d-%Y", "%m-%d-%y")
DAY_FIRST: Final = ("%d-%m-%Y", "%d-%m-%y")
"""Formats of a date beside ISO 8601, with a hyphen for any separator: 2018/7/13, 13-Jul-18, Jul 13, 2018, 7/13/18."""
EPOCH: Final = pd.Timestamp("1970-01-01")
NO_TIME: Final = np.datetime64("NaT", "us")
READABLE: Final = (np.datetime64("1900-01-01", "us"), np.datetime64("2200-01-01", "us"))
"""Range of usable times (end excluded), which can be converted."""
log = logging.getLogger(__name__)
Readings = tuple[Moments, Moments]  # instants (UTC) of rows with a zone, and the wall clock's readings of others


def read_times(
    column: pa.ChunkedArray, time_of_day: pa.ChunkedArray | None, source: TabularSettings, origin: str
) -> Readings:
    """Read the times of a column, or its dates beside `time_of_day`; an unreadable one is missing in both readings.

    Dates in `time_of_day` (such as Excel's 1899-12-30) do not count. Warnings name the `origin`, city and file. Raises
    SourceError for an unknown zone.
    """
    kind = column.type
    if time_of_day is not None:
        text = _joined(column, time_of_day, source, origin)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
        try:
            column = pc.local_timestamp(column) if has_zone and source.ignore_zone else column
        except pa.ArrowInvalid:
            remedy = "Write them in UTC or in a zone with an IANA name, such as America/New_York."
            raise SourceError(f"{origin}: its times have the zone {kind.tz!r}, which is not known. {remedy}") from None
        return _readings(column.to_numpy(), with_zone=has_zone and not source.ignore_zone)
    elif source.time_format in EPOCH_UNITS:
        return _readings(_since_1970(column, EPOCH_UNITS[source.time_format]), with_zone=not source.ignore_zone)
    else:
        text = _text(column)
    if source.time_format is not None:
        with_zone = "%z" in source.time_format.lower()
        return _readings(_parsed(text, [source.time_format]).to_numpy(), with_zone=with_zone)
    return _in_usual_forms(text, origin, ignore_zone=source.ignore_zone)


def in_utc(readings: Readings, zone: ZoneInfo, source: TabularSettings) -> Moments:
    """Return the instants of rows (UTC), by `naive_times` of those without a zone; NaT where this rejects them."""
    instants, wall_clock = readings
    without_zone = ~np.isnat(wall_clock)
    if source.naive_times == "utc":
        return np.where(without_zone, wall_clock, instants)
    if source.naive_times == "local" and without_zone.any():
        local = wall_clock_to_utc(pd.Series(wall_clock[without_zone]), zone).dt.tz_localize(None)
        instants = instants.copy()
        instants[without_zone] = local.to_numpy()
    return instants


def _in_usual_forms(text: "pd.Series[str]", origin: str, *, ignore_zone: bool) -> Readings:
    """Read times in ISO 8601, which pandas reads quickly, or in one of the other forms."""
    if ignore_zone:
        text = text.str.replace(WITH_ZONE, r"\1", regex=True)
    zoned = pc.match_substring_regex(pa.array(text, pa.string(), from_pandas=True), WITH_ZONE).fill_null(False)
    moments = _parsed(text.where(text.str.match(ISO_DAY)), ["ISO8601"])
    left = moments.isna() & text.str.len().gt(0)
    if left.any():
        matched = pc.extract_regex(pa.array(text[left], pa.string()), PARTS)
        parts = pd.DataFrame(
            {name: pc.struct_field(matched, name).to_pandas() for name in ("day", "clock", "half", "zone")}
        )
        # An offset is how far midnight of its zone is from midnight of UTC.
        midnight = "1970-01-01T00:00" + parts["zone"].str.upper().replace({"UTC": "Z", "GMT": "Z"})
        ahead = _parsed(midnight, ["ISO8601"]) - EPOCH
        moments[left] = (_days(parts["day"], origin) + _clock(parts["clock"], parts["half"]) + ahead).to_numpy()
    return _readings(moments.to_numpy(), with_zone=zoned.to_numpy(zero_copy_only=False))


def _days(text: "pd.Series[str]", origin: str) -> "pd.Series[pd.Timestamp]":
    """Read dates; of month and day, the order under which more rows are dates, month first in a tie."""
    codes, written = pd.factorize(text)  # each date is read once
    months = pd.Series(written, dtype="str").str.replace(r"([A-Za-z]{3})[a-z.]*", r"\1", regex=True)
    days = months.str.replace(r"[/. ,-]+", "-", regex=True)
    read = (_parsed(days, formats) for formats in (DAY_FORMATS, MONTH_FIRST, DAY_FIRST))
    named, month_first, day_first = (each.take(codes).reset_index(drop=True) for each in read)
    month_first = month_first.where(named.isna())
    day_first = day_first.where(named.isna())
    only_month_first = int((month_first.notna() & day_first.isna()).sum())
    only_day_first = int((day_first.notna() & month_first.isna()).sum())
    if only_month_first and only_day_first:
        numbers = f"{only_month_first} rows can only be month/day, {only_day_first} only day/month"
        remedy = "The more frequent order was taken and the others have no time; set source.time_format"
        log.warning(f"{origin}: dates are written in two ways: {numbers}. {remedy} in the city's file.")
    elif not only_month_first and not only_day_first and month_first.notna().any():
        remedy = "Set source.time_format in the city's file to be sure."
        log.warning(f"{origin}: every date can be read as month/day and as day/month; month/day was taken. {remedy}")
    return named.fillna(day_first if only_day_first > only_month_first else month_first)


def _clock(text: "pd.Series[str]", half: "pd.Series[str]") -> "pd.Series[pd.Timedelta]":
    """Return the time since midnight; 0 without a time of day, NaT for an impossible one."""
    clock = text.str.replace(",", ".").mask(text.eq(""), "00:00").str.replace(r"^(\d:)", r"0\1", regex=True)
    times = _parsed("1970-01-01T" + clock, ["ISO8601"]) - EPOCH
    hour = pd.Timedelta(hours=1)
    noon = pd.Timedelta(hours=12)
    is_half = half.ne("")
    halves = half.str.upper().eq("P").astype(int) - (is_half & times.ge(noon)).astype(int)
    on_24_hours = times + halves * noon
    return on_24_hours.where(~is_half | times.between(hour, noon + hour, inclusive="left"))


def _parsed(text: "pd.Series[str]", formats: Sequence[str]) -> "pd.Series[pd.Timestamp]":
    """Read text by the first fitting format, as datetime64[us]; times with a zone become UTC."""
    moments = pd.Series(NO_TIME, index=text.index, dtype="datetime64[us]")
    for form in formats:
        left = text[moments.isna() & text.notna()]
        if left.empty:
            break
        read = pd.to_datetime(left, format=form, utc=True, errors="coerce").dt.tz_localize(None)
        moments[left.index] = read.astype("datetime64[us]")
    return moments


def _text(column: pa.ChunkedArray) -> "pd.Series[str]":
    return pd.Series(column.cast(pa.string()).to_pandas(), dtype="str").str.strip()


def _joined(days: pa.ChunkedArray, clocks: pa.ChunkedArray, source: TabularSettings, origin: str) -> "pd.Series[str]":
    if source.time_format is not None:
        return _text(days) + " " + _text(clocks)
    clock = _text(clocks).str.replace(r"^\d{4}-\d{1,2}-\d{1,2}[T ]+", "", regex=True)
    # Police exports write 930 or 0930 for half past nine.
    hours = clock.str.zfill(4).str.replace(r"^(\d{2})(\d{2})$", r"\1:\2", regex=True)
    clock = clock.mask(clock.str.fullmatch(r"\d{1,4}"), hours)
    # The date's own zone, if any, is that of its midnight and does not define the day.
    _, wall_clock = read_times(days, None, source.model_copy(update={"ignore_zone": True}), origin)
    day = pd.Series(wall_clock).dt.strftime("%Y-%m-%d").astype("str")
    return (day + "T" + clock).where(clock.ne(""))


def _since_1970(column: pa.ChunkedArray, units_per_second: int) -> Moments:
    numbers = pd.to_numeric(pd.Series(column.to_pandas()), errors="coerce").to_numpy(dtype=np.float64)
    micros = numbers * (1_000_000 // units_per_second)
    usable = np.isfinite(micros) & (np.abs(micros) < 2.0**62)
    return np.where(usable, np.round(np.where(usable, micros, 0)).astype("datetime64[us]"), NO_TIME)


def _readings(moments: npt.NDArray[np.datetime64], *, with_zone: bool | npt.NDArray[np.bool_]) -> Readings:
    """Sort moments of any unit by zone, without those outside `READABLE`."""
    first, end = (bound.astype(moments.dtype) for bound in READABLE)
    usable = (moments >= first) & (moments < end)
    moments = np.where(usable, moments, np.array("NaT", moments.dtype)).astype("datetime64[us]")
    return np.where(with_zone, moments, NO_TIME), np.where(with_zone, NO_TIME, moments)
