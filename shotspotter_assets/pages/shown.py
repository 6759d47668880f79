"""Contents of the first page, which templates, `index.js` and the published files show."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, IssueRecord, NoForecast
from shotspotter_assets.forecasts.patrol.plan import ShiftTotals
from shotspotter_assets.pages.rendering import amount, model
from shotspotter_assets.storage.wording import number_of

Row = dict[str, Any]  # a place of a period: a row of the plan's table, or of likely cells with the same names


@dataclass(frozen=True)
class ShownPeriod:
    """A shift, six hours or the whole day, with the places of its units or else the likeliest ones."""

    name: str
    anchor: str  # fragment of the page's address
    kind: Literal["shift", "day"]
    is_before: bool  # True if it belongs to the forecast of the day before
    starts: datetime
    ends: datetime
    expected: float  # number of alerts
    totals: ShiftTotals | None  # sums of the plan; None without units
    shared: str  # drivers that all places share, in words
    places: Sequence[Row]


@dataclass(frozen=True)
class ShownDay:
    """One forecast: the newest one, or the one before it."""

    record: ForecastRecord
    data: Mapping[str, Any]  # the maps, for `index.js`
    data_when_issued: str  # the known and the missing days then, in words
    rounding: str  # rounding of the points that streets are ranked from, in words
    periods: Sequence[ShownPeriod]
    types: Sequence[str]  # names of the gunshot types with maps
    cells_of_half: int  # number of cells in which half of the alerts are expected
    table: pa.Table | None  # units of the plan
    plan_note: str
    totals_note: str

    @property
    def ends(self) -> datetime:
        """End of the last period."""
        return max(period.ends for period in self.periods)

    @property
    def top(self) -> Row:
        """The likeliest place of the whole day."""
        return self.periods[-1].places[0]


@dataclass(frozen=True)
class NewestForecast:
    """The newest forecast and the one before it, part of whose hours may lie ahead."""

    record: IssueRecord | None  # of the newest issue date
    no_forecast: str = ""  # reason for no forecast
    days: Sequence[ShownDay] = ()  # both forecasts in order
    changes: str = ""  # differences between them, in words

    @property
    def forecast(self) -> ShownDay | None:
        """The newest forecast; None without one."""
        return self.days[-1] if isinstance(self.record, ForecastRecord) else None

    @property
    def nothing(self) -> NoForecast | None:
        """The record of the reason for no forecast; None with a forecast, or without any record."""
        return self.record if isinstance(self.record, NoForecast) else None


def changes(before: ShownDay, newest: ShownDay, event: str) -> str:
    """Return the changes between two forecasts as one sentence; "" if there are none. `event` is a word for what they count."""
    differences = "; ".join(_differences(before, newest, event))
    return f"Since the forecast for {before.record.forecast_date:%A}: {differences}." if differences else ""


def _differences(before: ShownDay, newest: ShownDay, event: str) -> Iterator[str]:
    """Yield the differences in events, forecaster and units."""
    earlier = before.record
    record = newest.record
    expected = amount(record.expected_alerts)
    if expected != amount(earlier.expected_alerts):
        yield f"{expected} {event}s expected instead of {amount(earlier.expected_alerts)}"
    if record.served != earlier.served:
        yield f"made by {model(record.served)} instead of {model(earlier.served)}"
    posts = _posts(newest.table)
    moved = (posts - _posts(before.table)).total()
    if before.table is not None and moved:
        yield f"{moved} of {number_of(posts.total(), 'unit')} elsewhere"


def _posts(units: pa.Table | None) -> Counter[tuple[str, str]]:
    """Return the number of units by shift and cell."""
    rows = [] if units is None else units.select(["shift", "cell", "units"]).to_pylist()
    return Counter({(row["shift"], row["cell"]): row["units"] for row in rows})
