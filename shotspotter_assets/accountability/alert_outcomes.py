"""Outcomes of a city's alerts: the reports of a local day, and sums over a period."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel

from shotspotter_assets.accountability.calls import Alert, Call, match_calls, named_alerts, read_calls
from shotspotter_assets.alerts.sources.raw_rows import MAX_PROBLEMS, Problem
from shotspotter_assets.cities.city import City
from shotspotter_assets.grid.cells import cells_at
from shotspotter_assets.grid.tensors import is_gunshot
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, OUTCOMES_RECORD
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

ALERT_COLUMNS: Final = ["date", "user_id", "source_id", "time_utc", "longitude", "latitude"]


class OutcomesRecord(StoredRecord):
    """Counts of a day's reports, and rows filed under the day that are not used."""

    stored_as = OUTCOMES_RECORD

    day: date
    alerts: int  # gunshot alerts of the day
    with_report: int  # of these, alerts that a call of a sensor is about
    with_outcome: int  # of these, alerts whose outcome is not open
    unmatched: int  # calls of sensors on the day that are about no alert
    persons: int  # calls of persons on the day
    unknown_codes: dict[str, int]  # reports by code that `outcomes.codes` does not name
    problems: tuple[str, ...]  # first `MAX_PROBLEMS` rows that are not used: file, row, problem and remedy
    problem_count: int


def day_outcomes(rows: pa.Table, alerts: pa.Table, day: date, city: City) -> tuple[pa.Table, OutcomesRecord]:
    """Return the outcomes of a day's alerts with the day's other calls (`ALERT_OUTCOMES`), and their record.

    Args:
        rows: Rows of the side table filed under the day and the days around it (`RAW_SCHEMA` with `row_texts`).
        alerts: Cleaned alerts of these days with their `date`.
        day: Local day of the alerts, and of calls that are about none.
        city: City with `outcomes`.
    """
    read, problems = read_calls(rows, city)
    rows_of_gunshots = alerts.filter(pa.array(is_gunshot(alerts["gunshot_type"]))).sort_by("user_id")
    gunshots = [
        Alert(row["date"], row["user_id"], row["source_id"], row["time_utc"], (row["longitude"], row["latitude"]))
        for row in rows_of_gunshots.select(ALERT_COLUMNS).to_pylist()
    ]
    calls, repeated = _latest_of_alerts(read, named_alerts(read, gunshots))
    matched = match_calls(calls, gunshots, city)
    pairs = list(zip(calls, matched, strict=True))
    unknown = [_unknown_alert(call) for call, alert in pairs if call.names_alert and alert is None]
    # A call outside the box that is about no alert belongs to another city.
    here = [(call, alert) for call, alert in pairs if alert is not None or not call.is_outside]
    reports = [_report(call, alert, city) for call, alert in here if (call.day if alert is None else alert.date) == day]
    reports.sort(key=lambda report: report["user_id"] or math.inf)  # calls about no alert, by time, come last
    of_day = [problem.line for problem in (*problems, *repeated, *unknown) if problem.day == day]
    own_alerts = sum(alert.date == day for alert in gunshots)
    return pa.Table.from_pylist(reports, ALERT_OUTCOMES.schema), _record(reports, of_day, own_alerts, day, city)


def _latest_of_alerts(calls: Sequence[Call], named: Mapping[Call, Alert]) -> tuple[list[Call], list[Problem]]:
    """Return the calls with the last of those that name an alert, and a problem for each of two at one time."""
    last = {named[call]: call for call in calls if call in named}  # calls are in order of time
    remedy = "has another report at the same time, and this one is left out. Remove one of the two rows"
    replaced = {call: last[alert] for call, alert in named.items() if last[alert] is not call}
    repeated = [
        call.problem(f"the alert {call.alert_id} {remedy}")
        for call, later in replaced.items()
        if call.received == later.received
    ]
    return [call for call in calls if call not in replaced], repeated


def _unknown_alert(call: Call) -> Problem:
    """Return the problem of a call that names an id which no alert of its day or the days around it has."""
    consequence = "left out, because its point is outside the city's box" if call.is_outside else "counted without one"
    problem = f"no alert of the day or the days around it has the id {call.alert_id}, and the report is {consequence}"
    return call.problem(f"{problem}. Correct the id or the time, or columns.alert_id of outcomes")


def _report(call: Call, alert: Alert | None, city: City) -> dict[str, Any]:
    """Return the row of `ALERT_OUTCOMES` for a call about an alert, or about none."""
    point = call.point or (None if alert is None else alert.point)
    row, column = (None, None) if point is None else cells_at(city, np.array(point[0]), np.array(point[1]))
    return {
        "user_id": None if alert is None else alert.user_id,
        "origin": call.origin,
        "outcome": call.outcome,
        "code": call.code,
        "matched_by": "" if alert is None else "id" if call.names_alert else "time and place",
        "received_utc": call.received,
        "dispatched_utc": call.dispatched,
        "arrived_utc": call.arrived,
        "cleared_utc": call.cleared,
        "longitude": point and point[0],
        "latitude": point and point[1],
        "row": row,
        "column": column,
    }


def _record(
    reports: Sequence[Mapping[str, Any]], problems: Sequence[str], alerts: int, day: date, city: City
) -> OutcomesRecord:
    """Return the record of a day's reports."""
    assert city.outcomes is not None
    codes = Counter(report["code"] for report in reports if report["code"])
    about_alerts = [report for report in reports if report["user_id"] is not None]
    origins = Counter(report["origin"] for report in reports)
    return OutcomesRecord(
        city=city.name,
        day=day,
        alerts=alerts,
        with_report=len(about_alerts),
        with_outcome=sum(report["outcome"] != "open" for report in about_alerts),
        unmatched=origins["sensor"] - len(about_alerts),
        persons=origins["person"],
        unknown_codes={code: codes[code] for code in sorted(codes) if city.outcomes.outcome_of(code) is None},
        problems=tuple(problems[:MAX_PROBLEMS]),
        problem_count=len(problems),
    )


class Minutes(BaseModel, frozen=True):
    """Lengths of time in minutes."""

    number: int  # reports that state both ends
    median: float
    p90: float


class Reports(BaseModel, frozen=True):
    """Reports of one origin in a period."""

    number: int
    by_outcome: dict[str, int]
    officer_minutes: dict[str, float]  # minutes to clearance by outcome, of reports that are cleared
    on_scene: Minutes | None  # the same minutes by report; None where no report is cleared
    to_dispatch: Minutes | None  # from receipt; None where no report states it
    to_arrival: Minutes | None  # from dispatch; None where no report states it


class OutcomeSummary(BaseModel, frozen=True):
    """Outcomes of a period's alerts, beside calls of persons. An alert without a report has no known outcome."""

    alerts: int  # gunshot alerts of the stored days
    alerts_with_report: int
    alerts_by_outcome: dict[str, int]  # alerts with a report
    unmatched: int  # reports of sensors that match no alert
    sensors: Reports  # all reports of sensors
    persons: Reports


def read_outcomes(store: Store, city: City, first: date, last: date) -> pa.Table:
    """Return the stored reports of some days with their local `date` (`ALERT_OUTCOMES`); no rows without any.

    Reports from before `outcomes` was removed are of a table that the city's file no longer describes, and left out.
    """
    stored = store.read_present(ALERT_OUTCOMES, city.name, first, last) if city.outcomes else None
    none = ALERT_OUTCOMES.schema.empty_table().add_column(0, "date", pa.array([], pa.date32()))
    return none if stored is None else stored


def outcome_summary(store: Store, city: City, first: date, last: date) -> OutcomeSummary:
    """Sum up the stored alerts and reports from `first` to `last`."""
    alerts = store.read_present(CLEANED, city.name, first, last, ["gunshot_type"])
    number = 0
    if alerts is not None:
        number = int(is_gunshot(alerts["gunshot_type"]).sum())
    frame = read_outcomes(store, city, first, last).to_pandas()
    about_alerts = frame[frame["user_id"].notna()]
    of_sensors = frame[frame["origin"] == "sensor"]
    return OutcomeSummary(
        alerts=number,
        alerts_with_report=len(about_alerts),
        alerts_by_outcome=about_alerts["outcome"].value_counts().to_dict(),
        unmatched=len(of_sensors) - len(about_alerts),
        sensors=_reports(of_sensors),
        persons=_reports(frame[frame["origin"] == "person"]),
    )


def _reports(frame: pd.DataFrame) -> Reports:
    """Sum up the reports of one origin."""
    arrived = frame["arrived_utc"]
    dispatched = frame["dispatched_utc"]
    minutes = _minutes(arrived.fillna(dispatched).fillna(frame["received_utc"]), frame["cleared_utc"])
    by_outcome = minutes.groupby(frame["outcome"]).sum(min_count=1).dropna()
    return Reports(
        number=len(frame),
        by_outcome=frame["outcome"].value_counts().to_dict(),
        officer_minutes=by_outcome.to_dict(),
        on_scene=_spread(minutes),
        to_dispatch=_spread(_minutes(frame["received_utc"], dispatched)),
        to_arrival=_spread(_minutes(dispatched, arrived)),
    )


def _minutes(start: "pd.Series[pd.Timestamp]", end: "pd.Series[pd.Timestamp]") -> "pd.Series[float]":
    return (end - start) / pd.Timedelta(minutes=1)


def _spread(minutes: "pd.Series[float]") -> Minutes | None:
    known = minutes.dropna()
    if known.empty:
        return None
    return Minutes(number=len(known), median=float(known.median()), p90=float(known.quantile(0.9)))
