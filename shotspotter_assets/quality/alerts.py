"""All checks of one city's stretch of days, from the stored tables alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.coverage import inside_coverage
from shotspotter_assets.quality.clock import clock
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.fireworks import firework_days
from shotspotter_assets.quality.growth import level_change, new_area
from shotspotter_assets.quality.points import points
from shotspotter_assets.quality.shares import (
    USUAL_DUPLICATES,
    USUAL_OUTSIDE,
    USUAL_REJECTED,
    USUAL_UNTYPED,
    rows_of_each,
    too_many,
)
from shotspotter_assets.quality.usual import Usual, silences, silent_days, unusual_days, usual_volume

ALERT_COLUMNS: Final = (
    "user_id", "source_id", "time_utc", "longitude", "latitude", "gunshot_type", "incident_id",
)  # fmt: skip
"""What the checks read of cleaned alerts."""


@dataclass(frozen=True)
class Window:
    """What the checks look at: the tables of the days of a stretch and of the stored days of the year before it.

    `stored` are all days with a cleaned file, in order, the stretch last; days between them that have none are unknown.
    `alerts` (`ALERT_COLUMNS` with the `date`) are of all stored days; `rejected_of` and `received_of` count the
    rejected and the received rows of each day of the stretch.
    """

    city: City
    stretch: list[date]
    stored: list[date]
    alerts: pa.Table
    received_of: dict[date, int]
    rejected_of: dict[date, int]

    @classmethod
    def of(
        cls,
        city: City,
        stretch: list[date],
        stored: Sequence[date],
        alerts: pa.Table,
        raw: pa.Table,
        rejected: pa.Table,
    ) -> "Window":
        """From tables with the local `date`; of `raw` and `rejected` only the rows of the stretch are counted."""
        received_of, rejected_of = (
            rows_of_each(table["date"].to_numpy().astype("datetime64[D]"), stretch) for table in (raw, rejected)
        )
        return cls(city, stretch, sorted({*stored, *stretch}), alerts, received_of, rejected_of)


def alert_findings(window: Window) -> list[Finding]:
    """One finding for each of `finding.CHECKS`, in that order."""
    city, stretch, alerts = window.city, window.stretch, window.alerts
    usual = _usual(window, alerts)
    gap = silences(usual)
    known = replace(usual, counts=np.where(gap, np.nan, usual.counts))
    incidents = alerts.filter(pc.equal(alerts["user_id"], alerts["incident_id"]))
    daily = _daily(window, incidents, known)
    inside = alerts.filter(pc.greater_equal(alerts["date"], pa.scalar(stretch[0])))
    return [
        too_many(
            "share_rejected",
            window.rejected_of,
            window.received_of,
            USUAL_REJECTED,
            "cannot be used",
            "See rejected_by_reason of these partitions and the rows in rejected.parquet; most often the box, the start or "
            "the columns in the city's file are wrong.",
        ),
        _untyped(window, inside),
        _outside_coverage(window, inside),
        _duplicates(window, inside),
        unusual_days(usual_volume(_counts(window, alerts), usual.days, city, gap), stretch),
        silent_days(usual, stretch),
        firework_days(known, stretch),
        level_change(daily, stretch),
        new_area(incidents, daily, stretch, city),
        points(alerts, window.stored, stretch),
        clock(alerts, window.stored, stretch, city),
    ]


def _usual(window: Window, alerts: pa.Table) -> Usual:
    return usual_volume(_counts(window, alerts), days_between(window.stored[0], window.stored[-1]), window.city)


def _counts(window: Window, alerts: pa.Table) -> dict[date, int]:
    days = days_between(window.stored[0], window.stored[-1])
    counts = rows_of_each(alerts["date"].to_numpy().astype("datetime64[D]"), days)
    return {day: counts[day] for day in window.stored}


def _daily(window: Window, incidents: pa.Table, known: Usual) -> Usual:
    """The days of `known` with incidents in place of alerts."""
    counts = _counts(window, incidents)
    number = np.array([counts.get(day, np.nan) for day in known.days], dtype=np.float64)
    return replace(known, counts=np.where(np.isnan(known.counts), np.nan, number))


def _untyped(window: Window, alerts: pa.Table) -> Finding:
    if not window.city.source.has_gunshot_types:
        return Finding("share_untyped", True, "The city's file names no column with the gunshot type: all are unknown.")
    dates, untyped = alerts["date"].to_numpy().astype("datetime64[D]"), alerts["gunshot_type"].is_null().to_numpy()
    return too_many(
        "share_untyped",
        rows_of_each(dates[untyped], window.stretch),
        rows_of_each(dates, window.stretch),
        USUAL_UNTYPED,
        "have no gunshot type",
        "Add spellings that are not known (unknown_type_spellings of the partitions) to gunshot_spellings of the city's "
        "file; where the source leaves the type out, do not forecast by type for this time.",
    )


def _outside_coverage(window: Window, alerts: pa.Table) -> Finding:
    if window.city.coverage is None:
        return Finding("share_outside_coverage", True, "The city's file names no published coverage.")
    dates = alerts["date"].to_numpy().astype("datetime64[D]")
    place = (alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy())
    outside = ~inside_coverage(window.city, *place, dates)
    return too_many(
        "share_outside_coverage",
        rows_of_each(dates[outside], window.stretch),
        rows_of_each(dates, window.stretch),
        USUAL_OUTSIDE,
        "lie where the city publishes no sensors on that day",
        "Correct the areas or their first days under coverage in the city's file; forecasts leave such places out.",
    )


def _duplicates(window: Window, alerts: pa.Table) -> Finding:
    """Exact duplicates that cleaning left out, and alerts with the identifier of an earlier one of the day.

    Identifiers that come again on another day are not counted: systems that were replaced count from the start again.
    """
    dates = alerts["date"].to_numpy().astype("datetime64[D]")
    cleaned = rows_of_each(dates, window.stretch)
    ids = alerts.select(["date", "source_id"]).to_pandas()
    again = rows_of_each(dates[(ids["source_id"].notna() & ids.duplicated()).to_numpy()], window.stretch)
    twice = {
        day: window.received_of[day] - window.rejected_of[day] - cleaned[day] + again[day] for day in window.stretch
    }
    return too_many(
        "duplicates",
        twice,
        window.received_of,
        USUAL_DUPLICATES,
        "came twice or with the identifier of another row of the day",
        "See whether files of the landing folder overlap, or whether the source sends corrections as new rows.",
    )
