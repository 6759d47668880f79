"""Times as publishers write them: text in the usual forms, epoch numbers, or date and time of day in two columns.

What a time without a zone means is not decided here: it is returned as the reading of an unnamed wall clock.
"""

import logging
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.source_settings import EPOCH_UNITS, TabularSource
from shotspotter_assets.sources.alert_source import SourceError

Moments = npt.NDArray[np.datetime64]
"""datetime64[us], shape (rows,); NaT where a row has none."""

ZONE = r"(?:[zZ]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"

WITH_ZONE = rf"^(.*:\d{{2}}(?:[.,]\d+)?(?:\s*[AaPp]\.?[Mm]\.?)?)\s*({ZONE})\s*$"
"""A time of day followed by a zone; the last part of a date must not be taken for a zone."""

DATES = (
    r"(?P<former>\d{1,2})[/.-](?P<latter>\d{1,2})[/.-](?P<year>\d{4}|\d{2})",
    r"(?P<year>\d{4})[/.-](?P<month>\d{1,2})[/.-](?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})[ -](?P<name>[A-Za-z]{3})[a-z.]*[ ,-]+(?P<year>\d{4}|\d{2})",
    r"(?P<name>[A-Za-z]{3})[a-z.]*[ -](?P<day>\d{1,2})[ ,-]+(?P<year>\d{4}|\d{2})",
)
"""Forms of a date beside ISO 8601: 7/13/18 or 13/7/18, 2018/7/13, 13-Jul-2018, Jul 13, 2018. No text has two."""

CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

FIRST_YEAR_OF_1900 = 69
"""Two-digit years from here on are of the 1900s, as in `strptime`."""

ISO_DAY = r"^\d{4}-\d{2}-\d{2}|^\d{8}(?:T|$)"
"""A calendar day in ISO 8601; pandas would also take a year alone for one."""

NO_TIME = np.datetime64("NaT", "us")
READABLE = (np.datetime64("1900-01-01", "us"), np.datetime64("2200-01-01", "us"))
"""Range of usable times (end excluded); others cannot be converted and are no time of an alert."""

log = logging.getLogger(__name__)


class Readings(NamedTuple):
    """The times of a column: an instant (UTC) where a row has a zone, else what the wall clock showed."""

    instants: Moments
    wall_clock: Moments


def read_times(
    column: pa.ChunkedArray, time_of_day: pa.ChunkedArray | None, source: TabularSource, place: str
) -> Readings:
    """The times of a column; a row whose time cannot be read has neither an instant nor a clock's reading.

    Args:
        column: times, or dates where `time_of_day` is given.
        time_of_day: clock times, whose own dates (such as Excel's 1899-12-30) do not count.
        source: its settings say how times are written; null in `time_format` stands for the usual forms.
        place: city and file, for warnings.
    """
    if time_of_day is not None:
        column = _joined(column, time_of_day, source, place)
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        if source.ignore_zone:
            return _without_zone(_moments(_local(_within_reach(column), place)))
        return _with_zone(_moments(column.cast(pa.timestamp("us", "UTC"), safe=False)))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _without_zone(_moments(column))
    if source.time_format in EPOCH_UNITS:
        moments = _since_1970(column, EPOCH_UNITS[source.time_format])
        return _without_zone(moments) if source.ignore_zone else _with_zone(moments)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    if source.time_format is not None:
        moments = _parsed(text, source.time_format)
        return _with_zone(moments) if "%z" in source.time_format.lower() else _without_zone(moments)
    return _in_usual_forms(pc.replace_substring_regex(text, WITH_ZONE, r"\1") if source.ignore_zone else text, place)


def _in_usual_forms(text: pa.ChunkedArray, place: str) -> Readings:
    """Times in ISO 8601, which pandas reads quickly, or else in one of the other forms."""
    iso = pc.if_else(pc.match_substring_regex(text, ISO_DAY), text, None)
    zoned = pc.fill_null(pc.match_substring_regex(text, WITH_ZONE), False)
    instants, wall_clock = (_parsed(pc.if_else(rows, iso, None), "ISO8601") for rows in (zoned, pc.invert(zoned)))
    written = pc.fill_null(pc.greater(pc.utf8_length(text), 0), False).to_numpy()
    left = np.isnat(instants) & np.isnat(wall_clock) & written
    if left.any():
        rest, with_zone = (values.filter(pa.array(left)) for values in (text, zoned))
        ahead = np.zeros(len(rest), dtype="timedelta64[us]")
        if pc.any(with_zone).as_py():
            ahead = _offsets(pc.if_else(with_zone, pc.replace_substring_regex(rest, WITH_ZONE, r"\2"), ""))
            rest = pc.replace_substring_regex(rest, WITH_ZONE, r"\1")
        moments = _written(rest, place)
        instants[left] = np.where(with_zone.to_numpy(), moments - ahead, NO_TIME)
        wall_clock[left] = np.where(with_zone.to_numpy(), NO_TIME, moments)
    return Readings(_readable(instants), _readable(wall_clock))


def _written(text: pa.ChunkedArray, place: str) -> Moments:
    """Dates in the forms of `DATES`, each alone or followed by a time of day, without zone."""
    moments = _nothing(len(text))
    left = np.arange(len(text))
    for form in DATES:
        pieces = pc.extract_regex(text.take(pa.array(left)), rf"^{form}(?:[T ,]+{CLOCK})?$")
        matched = pc.is_valid(pieces).to_numpy()
        if matched.any():
            names = [pieces.type.field(index).name for index in range(pieces.type.num_fields)]
            matches = pieces.filter(pa.array(matched))
            parts = {name: pc.struct_field(matches, name) for name in names}
            moments[left[matched]] = _days(parts, place) + _clock(parts)
        left = left[~matched]
        if not len(left):
            break
    return moments


def _days(parts: dict[str, pa.ChunkedArray], place: str) -> Moments:
    year = _number(parts["year"])
    year = np.where(year < 100, year + np.where(year < FIRST_YEAR_OF_1900, 2000, 1900), year)
    if "former" in parts:
        return _in_likely_order(year, _number(parts["former"]), _number(parts["latter"]), place)
    if "name" in parts:
        month = pc.index_in(pc.utf8_lower(parts["name"]), pa.array(MONTHS)).fill_null(-1).to_numpy() + 1
    else:
        month = _number(parts["month"])
    return _calendar(year, month, _number(parts["day"]))


def _in_likely_order(
    year: npt.NDArray[np.int64], former: npt.NDArray[np.int64], latter: npt.NDArray[np.int64], place: str
) -> Moments:
    """The order (month first or day first) under which more of the column's rows are dates; month first in a tie."""
    month_first, day_first = _calendar(year, former, latter), _calendar(year, latter, former)
    only_month_first = int((~np.isnat(month_first) & np.isnat(day_first)).sum())
    only_day_first = int((~np.isnat(day_first) & np.isnat(month_first)).sum())
    if only_month_first and only_day_first:
        log.warning(
            "%s: dates are written in two ways: %d rows can only be month/day, %d only day/month. The more frequent order "
            "was taken and the others have no time; set source.time_format in the city's file.",
            place,
            only_month_first,
            only_day_first,
        )
    elif not only_month_first and not only_day_first and not np.isnat(month_first).all():
        log.warning(
            "%s: every date can be read as month/day and as day/month; month/day was taken. Set source.time_format in the "
            "city's file to be sure.",
            place,
        )
    return day_first if only_day_first > only_month_first else month_first


def _calendar(year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]) -> Moments:
    """Days of the calendar; NaT where there is no such day."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == months)
    return np.where(exists, days.astype("datetime64[us]"), NO_TIME)


def _clock(parts: dict[str, pa.ChunkedArray]) -> npt.NDArray[np.timedelta64]:
    """Time since midnight; 0 where no time of day is written, NaT where no clock shows it."""
    hour, minute, second = (_number(parts[name]) for name in ("hour", "minute", "second"))
    half = pc.utf8_lower(parts["half"])
    has_half = pc.not_equal(half, "").to_numpy()
    possible = np.where(has_half, (hour >= 1) & (hour <= 12), hour < 24) & (minute < 60) & (second < 60)
    hour = np.where(has_half, hour % 12 + 12 * pc.equal(half, "p").to_numpy(), hour)
    micros = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, padding="0"), 0, 6))
    since = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    return np.where(possible, since.astype("timedelta64[us]"), np.timedelta64("NaT", "us"))


def _offsets(zone: pa.ChunkedArray) -> npt.NDArray[np.timedelta64]:
    """How far clocks of each zone are ahead of UTC; 0 for a name of UTC."""
    pieces = pc.extract_regex(zone, r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?$")
    hours, minutes = (_number(pc.struct_field(pieces, name)) for name in ("hours", "minutes"))
    ahead = np.where(pc.equal(pc.struct_field(pieces, "sign"), "-").fill_null(False).to_numpy(), -1, 1)
    return (ahead * (hours * 60 + minutes)).astype("timedelta64[m]").astype("timedelta64[us]")


def _joined(days: pa.ChunkedArray, time_of_day: pa.ChunkedArray, source: TabularSource, place: str) -> pa.ChunkedArray:
    """Text of date and time of day, as one column would have it."""
    clock = pc.utf8_trim_whitespace(time_of_day.cast(pa.string()))
    if source.time_format is not None:
        return pc.binary_join_element_wise(pc.utf8_trim_whitespace(days.cast(pa.string())), clock, " ")
    clock = pc.replace_substring_regex(clock, r"^\d{4}-\d{1,2}-\d{1,2}[T ]+", "")
    # Police exports write 930 or 0930 for half past nine.
    clock = pc.replace_substring_regex(
        pc.if_else(pc.match_substring_regex(clock, r"^\d{1,4}$"), pc.utf8_lpad(clock, 4, padding="0"), clock),
        r"^(\d{2})(\d{2})$",
        r"\1:\2",
    )
    # The date's own zone, if any, is that of its midnight and does not tell which day is meant.
    wall_clock = read_times(days, None, source.model_copy(update={"ignore_zone": True}), place).wall_clock
    text = pa.array(np.datetime_as_string(wall_clock, unit="D"), mask=np.isnat(wall_clock))
    return pc.binary_join_element_wise(pa.chunked_array([text]), pc.if_else(pc.equal(clock, ""), None, clock), "T")


def _since_1970(column: pa.ChunkedArray, units_per_second: int) -> Moments:
    numbers = pd.to_numeric(pd.Series(column.to_pandas()), errors="coerce").to_numpy(dtype=np.float64)
    micros = numbers * (1_000_000 // units_per_second)
    usable = np.isfinite(micros) & (np.abs(micros) < 2.0**62)
    return np.where(
        usable,
        np.where(usable, np.round(micros), 0).astype(np.int64).astype("datetime64[us]"),
        NO_TIME,
    )


def _parsed(text: pa.ChunkedArray, form: str) -> Moments:
    if text.null_count == len(text):
        return _nothing(len(text))
    series = pd.Series(text.to_pandas(), dtype="str")
    moments: Moments = pd.to_datetime(series, format=form, utc=True, errors="coerce").dt.tz_localize(None).to_numpy()
    return moments.astype("datetime64[us]")


def _moments(column: pa.ChunkedArray) -> Moments:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    moments: Moments = _within_reach(column).cast(pa.timestamp("us", zone), safe=False).to_numpy()
    return moments


def _within_reach(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times and dates without those outside `READABLE`, which another unit may not hold."""
    kind = column.type
    ticks = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    unit = {"date32[day]": "D", "date64[ms]": "ms"}.get(str(kind)) or kind.unit
    first, end = (pa.scalar(bound.astype(f"datetime64[{unit}]").astype(int), ticks) for bound in READABLE)
    numbers = column.cast(ticks)
    within = pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, end))
    return column if pc.all(within).as_py() is not False else pc.if_else(within, column, pa.scalar(None, kind))


def _local(column: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
    try:
        return pc.local_timestamp(column)
    except pa.ArrowInvalid:
        raise SourceError(
            f"{place}: its times have the zone {column.type.tz!r}, which is not known. Write them in UTC or in a zone with an "
            "IANA name, such as America/New_York."
        ) from None


def _number(text: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Whole numbers; 0 where nothing is written."""
    digits = pc.if_else(pc.equal(text, ""), None, text).cast(pa.int64())
    return pc.fill_null(digits, 0).to_numpy()


def _nothing(rows: int) -> Moments:
    return np.full(rows, NO_TIME, dtype="datetime64[us]")


def _readable(moments: Moments) -> Moments:
    outside = (moments < READABLE[0]) | (moments >= READABLE[1])
    return np.where(outside, NO_TIME, moments) if outside.any() else moments


def _with_zone(instants: Moments) -> Readings:
    return Readings(_readable(instants), _nothing(len(instants)))


def _without_zone(wall_clock: Moments) -> Readings:
    return Readings(_nothing(len(wall_clock)), _readable(wall_clock))
