"""Stored outcomes of a city's alerts, summed up over a period: outcomes, officer time and response times."""

from datetime import date
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED
from shotspotter_assets.storage.store import Store

STARTS: Final = ("arrived", "dispatched", "received")  # of a report's minutes: the first one that it has


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
    measured_from: dict[str, int]  # these reports by start of their minutes (`STARTS`); from receipt is an upper bound
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
        is_gunshot = pc.less(alerts["gunshot_type"], FIRST_EVENT_CODE).fill_null(True)
        number = pc.sum(is_gunshot).as_py() or 0
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
    start = pd.Series(np.select([arrived.notna(), dispatched.notna()], STARTS[:2], STARTS[2]), frame.index)
    by_outcome = minutes.groupby(frame["outcome"]).sum(min_count=1).dropna()
    return Reports(
        number=len(frame),
        by_outcome=frame["outcome"].value_counts().to_dict(),
        officer_minutes=by_outcome.to_dict(),
        measured_from=start[minutes.notna()].value_counts().to_dict(),
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
