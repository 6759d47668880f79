"""Outcomes of the alerts of one local day, and calls of that day that match no alert."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import ClassVar, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.accountability.calls import STEPS, Problem, problems_of, read_calls
from shotspotter_assets.accountability.matching import NONE, match_calls, names_alert
from shotspotter_assets.arrays import Integers
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City
from shotspotter_assets.geometry.cells import cells_at
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, OUTCOMES_RECORD
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

MAX_PROBLEMS: Final = 50  # problems that a day's record names; it counts all
PLACE: Final = ["longitude", "latitude"]


class OutcomesRecord(StoredRecord):
    """Counts of a day's reports, and rows filed under the day that are not used."""

    stored_as: ClassVar[StoredFile] = OUTCOMES_RECORD

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
    calls = read_calls(rows, city)
    frame, repeated = _latest_of_alerts(calls.frame)
    gunshots = _gunshots(alerts)
    position = match_calls(frame, gunshots, city)
    unknown = frame[names_alert(frame) & (position == NONE)]
    reports = _with_alerts(frame, gunshots, position)
    table = _table(reports[reports["report_day"] == day], city)
    problems = [*calls.problems, *repeated, *_unknown_alerts(unknown)]
    of_day = [problem.text for problem in problems if problem.day == day]
    return table, _record(table, of_day, int((gunshots["date"] == day).sum()), day, city)


def _gunshots(alerts: pa.Table) -> pd.DataFrame:
    """Return the gunshot alerts in order, without other events of the city."""
    frame = alerts.select(["date", "user_id", "source_id", "time_utc", *PLACE, "gunshot_type"]).to_pandas()
    is_gunshot = ~(frame["gunshot_type"] >= FIRST_EVENT_CODE)
    return frame[is_gunshot].sort_values("user_id", ignore_index=True)


def _latest_of_alerts(calls: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the calls with the last one about each id of an alert, and a problem for each of two at one time."""
    named = calls[names_alert(calls)]
    last = named[~named.duplicated("alert_id", keep="last")]
    replaced = named.drop(last.index)
    is_repeated = replaced.set_index(["alert_id", "received"]).index.isin(
        last.set_index(["alert_id", "received"]).index
    )
    repeated = replaced[is_repeated]
    remedy = "and this one is left out. Remove one of the two rows"
    texts = [
        f"the alert {alert_id} has another outcome at the same time, {remedy}" for alert_id in repeated["alert_id"]
    ]
    return calls.drop(replaced.index).reset_index(drop=True), problems_of(repeated, texts)


def _unknown_alerts(unknown: pd.DataFrame) -> list[Problem]:
    """Return a problem for each call that names an id which no alert of its day or the days around it has."""
    remedy = "and the report is counted without one. Correct the id or the time, or columns.alert_id of outcomes"
    texts = [
        f"no alert of the day or the days around it has the id {alert_id}, {remedy}" for alert_id in unknown["alert_id"]
    ]
    return problems_of(unknown, texts)


def _with_alerts(calls: pd.DataFrame, alerts: pd.DataFrame, position: Integers) -> pd.DataFrame:
    """Return the calls with `user_id`, `matched_by` and the day of their alert, or their own day (`report_day`)."""
    has_alert = position != NONE
    found = alerts.reindex(position).reset_index(drop=True)  # `NONE` is no label
    by_place = np.where(has_alert, "time and place", "")
    placed = calls.copy()
    placed[PLACE] = calls[PLACE].fillna(found[PLACE])
    return placed.assign(
        user_id=found["user_id"].astype("Int64"),
        matched_by=np.where(has_alert & names_alert(calls), "id", by_place),
        report_day=np.where(has_alert, found["date"], calls["day"]),
    )


def _table(reports: pd.DataFrame, city: City) -> pa.Table:
    """Return reports as `ALERT_OUTCOMES`, by alert, and then by time."""
    frame = reports.sort_values(["user_id", *STEPS, *PLACE], kind="stable")
    has_place = frame["longitude"].notna().to_numpy()
    places = frame.loc[has_place, PLACE]
    cells = np.full((len(frame), 2), np.nan)
    cells[has_place] = np.column_stack(cells_at(city, places["longitude"].to_numpy(), places["latitude"].to_numpy()))
    frame = frame.rename(columns={step: f"{step}_utc" for step in STEPS}).assign(row=cells[:, 0], column=cells[:, 1])
    columns = frame[list(ALERT_OUTCOMES.columns)]
    return pa.Table.from_pandas(columns, ALERT_OUTCOMES.schema, preserve_index=False).replace_schema_metadata(None)


def _record(table: pa.Table, problems: Sequence[str], alerts: int, day: date, city: City) -> OutcomesRecord:
    """Return the record of a day's table."""
    assert city.outcomes is not None
    known = {code.lower() for code in city.outcomes.codes}
    reports = table.select(["user_id", "origin", "outcome", "code"]).to_pylist()
    about_alerts = [report for report in reports if report["user_id"] is not None]
    codes = Counter(report["code"] for report in reports if report["code"] and report["code"].lower() not in known)
    origins = Counter(report["origin"] for report in reports)
    return OutcomesRecord(
        city=city.name,
        day=day,
        alerts=alerts,
        with_report=len(about_alerts),
        with_outcome=sum(report["outcome"] != "open" for report in about_alerts),
        unmatched=origins["sensor"] - len(about_alerts),
        persons=origins["person"],
        unknown_codes=dict(sorted(codes.items())),
        problems=tuple(problems[:MAX_PROBLEMS]),
        problem_count=len(problems),
    )
