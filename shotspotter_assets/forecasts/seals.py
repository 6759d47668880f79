"""Sealed forecasts: a chain of hashes for each target of a city, with a link for each day that has begun.

Each line of `seals.jsonl` is a seal, and holds the SHA-256 of the line before. The head, the number and the hash of the last
line, therefore fixes all lines, and through them the sealed files. Lines are only ever added.
"""

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.forecasts.issued_forecasts import (
    ISSUE_RECORD,
    SHADOW,
    DayState,
    Forecast,
    ForecastRecord,
    NoForecast,
    content_version,
    day_state,
    next_day_rows,
    total_of,
    write_forecast,
)
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, PAGE, SEALS, STATUS, TOP_LOCATIONS
from shotspotter_assets.storage.errors import MissingObjectError, error_reason
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store, parquet_table
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

RELATIVE_ERROR: Final = 1e-9  # of sums, whose last digits differ between processors
State = DayState | Literal["unreadable"]
SUMMED: Final = ["horizon", "probability", "expected", "size"]  # columns of a forecast that sums are made from
_SEALED_DAY: Final = re.compile(rb'"day":"(\d{4}-\d{2}-\d{2})"')


class Head(NamedTuple):
    """The last link of a chain, which fixes all links before it."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


class Seal(StoredRecord):
    """One link of the chain, in one line."""

    stored_as = SEALS

    target: str = Field(description="Target of the forecast.")
    number: int = Field(description="Number of the link, from 1.")
    day: date = Field(description="Local day of the forecast.")
    state: State = Field(
        description="How the day was forecast: before it began, after that, after it ended, not for a stated reason, not at "
        "all, or by a record that cannot be read."
    )
    remade: bool = Field(
        False, description="True if an earlier link seals other files of the day, which were replaced."
    )
    flaw: str = Field("", description="Reason why the link proves less, in words; empty for none.")
    sealed_at: AwareDatetime = Field(description="Instant of the sealing (ISO 8601, UTC).")
    record_sha256: str = Field(description="SHA-256 of `record.json`; empty without one.")
    table_sha256: str = Field(description="SHA-256 of `forecast.parquet`; empty without one.")
    previous: str = Field(description="SHA-256 of the line before, without its end; empty for the first.")

    def line(self) -> bytes:
        """Return the line of the chain."""
        return self.model_dump_json().encode()


@dataclass(frozen=True)
class DayFiles:
    """Stored files of a day's forecast; a missing one is empty."""

    record: bytes
    table: bytes
    top: bytes = b""

    @classmethod
    def read(cls, store: Store, city: str, day: date) -> "DayFiles":
        """Read the files of the forecast of a day."""

        def content(file: StoredFile) -> bytes:
            try:
                return store.read_bytes(file, city, day - ONE_DAY)
            except MissingObjectError:
                return b""

        return cls(content(FORECAST_RECORD), content(FORECAST), content(TOP_LOCATIONS))

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by field of a seal."""
        return {
            "record_sha256": sha256(self.record) if self.record else "",
            "table_sha256": sha256(self.table) if self.table else "",
        }


@dataclass(frozen=True)
class Chain:
    """The lines of a chain, readable or not."""

    lines: tuple[bytes, ...]

    @classmethod
    def of(cls, content: bytes | None) -> "Chain":
        """Return the chain of a file's content; an empty one without it."""
        return cls(tuple((content or b"").splitlines()))

    @classmethod
    def read(cls, store: Store, city: str) -> "Chain":
        """Return the stored chain of a target; an empty one without a file."""
        return cls.of(store.read_bytes(SEALS, city) if store.exists(SEALS, city) else None)

    @property
    def head(self) -> Head | None:
        """The head; None for an empty chain."""
        return Head(len(self.lines), sha256(self.lines[-1])) if self.lines else None

    def has(self, head: str) -> bool:
        """Return True if the chain has a link that was once the head."""
        number, _, digest = head.partition(":")
        at = int(number) if number.isdecimal() else 0
        return 0 < at <= len(self.lines) and sha256(self.lines[at - 1]) == digest

    def last_by_day(self) -> dict[date, bytes]:
        """Return the last line of each day by day, unread, in the order in which days were first sealed."""
        found = ((_SEALED_DAY.search(line), line) for line in self.lines)
        return {date.fromisoformat(day[1].decode()): line for day, line in found if day is not None}


def head_of(store: Store, city: str) -> str | None:
    """Return the head of a target's chain as pages show it; None before the first seal."""
    head = Chain.read(store, city).head
    return None if head is None else str(head)


def heads_in_words(store: Store, city: City) -> list[str]:
    """Return a line about the head of each target of a city that has one."""
    heads = [(view.target, head_of(of_target, city.name)) for of_target, view in city.by_target(store)]
    several = len(city.targets) > 1
    return [f"{city.name}{f', {target}' * several}: seal {head}" for target, head in heads if head is not None]


def seal_days(store: Store, city: City, now: datetime, written: date | None = None) -> str | None:
    """Add the missing links of a target's days that have begun, in order of days, and return the head.

    Days between the first link's day and the last day with a record are links too. The day `written` gets a further link if
    its files are not those of its last one.
    """
    shown = shown_head(store, city)
    recorded = store.days_present(FORECAST_RECORD, city.name)
    begun = {issued + ONE_DAY for issued in recorded if now >= day_start(issued + ONE_DAY, city.zone)}

    def extended(content: bytes | None) -> bytes | None:
        """Return the file's content with further lines; None without any."""
        chain = Chain.of(content)
        sealed = chain.last_by_day()
        days = begun | {*days_between(next(iter(sealed), min(begun)), max(begun))}
        lines = [*chain.lines]
        for day in sorted(day for day in days if day not in sealed or day == written):
            with store.alone(FORECAST.asset, city.name):
                files = DayFiles.read(store, city.name, day)
            if day in sealed and files.hashes.items() <= (sealed_hashes(sealed[day]) or {}).items():
                continue
            state, flaw = _state(files, city, day)
            # The first link after a cut says so, because nothing else in the chain would.
            if shown and len(lines) == len(chain.lines) and not chain.has(shown):
                flaw = f"The pages showed seal {shown}, which the chain lacks: it was cut short or changed."
            seal = Seal(
                city=city.name,
                target=city.target,
                number=len(lines) + 1,
                day=day,
                state=state,
                remade=day in sealed,
                flaw=flaw,
                sealed_at=now,
                previous=sha256(lines[-1]) if lines else "",
                **files.hashes,
            )
            lines.append(seal.line())
        return b"".join(line + b"\n" for line in lines) if len(lines) > len(chain.lines) else None

    if begun:
        store.update(SEALS, city.name, bytes, extended)
    return head_of(store, city.name)


def write_sealed(store: Store, city: City, forecast: Forecast | NoForecast, now: datetime) -> str:
    """Write a forecast as `write_forecast` does, and seal it if its day has begun; return the address."""
    path = write_forecast(store, forecast)
    day = (forecast.record if isinstance(forecast, Forecast) else forecast).forecast_date
    if now >= day_start(day, city.zone):
        seal_days(store, city, now, written=day)
    return path


def shown_head(store: Store, city: City) -> str | None:
    """Return the head that the stored pages of a target show; None without any."""
    for folder in ("", f"{city.target}/"):
        status = store.read_index(PAGE.named(file=folder + STATUS.file), city.name, _Shown.model_validate_json)
        if status is not None and status.target == city.target:
            return status.seal
    return None


class _Shown(BaseModel):
    """The part of a target's `status.json` that shows the head."""

    target: str
    seal: str | None = None


def sealed_hashes(line: bytes) -> dict[str, str] | None:
    """Return the hashes of a line; None if it cannot be read."""
    try:
        return Seal.model_validate_json(line).model_dump(include={"record_sha256", "table_sha256"})
    except ValidationError:
        return None


def _state(files: DayFiles, city: City, day: date) -> tuple[State, str]:
    """Return the state of a day by its record, and why its files contradict each other, "" if they do not."""
    if not files.record:
        return "missing", ""
    try:
        record = ISSUE_RECORD.validate_json(files.record)
    except ValidationError as error:
        return "unreadable", f"record.json cannot be read: {error_reason(error)}."
    state = day_state(record, city.zone)
    if isinstance(record, NoForecast):
        return state, ""
    return state, contradiction(record, files) or version_contradiction(record, files)


def contradiction(record: ForecastRecord, files: DayFiles) -> str:
    """Return why the hash, the sum and the interval of a record are not those of its table; "" if they are."""
    if not files.table:
        return "forecast.parquet is missing."
    if record.table_sha256 and record.table_sha256 != sha256(files.table):
        return "table_sha256 of record.json is not the SHA-256 of forecast.parquet."
    try:
        table = parquet_table(files.table, SUMMED)
    except ValueError as error:
        return f"forecast.parquet is damaged: {error}."
    expected = float(next_day_rows(table)["expected"].to_numpy().sum())
    if not math.isclose(expected, record.expected_alerts, rel_tol=RELATIVE_ERROR):
        return (
            f"expected_alerts of record.json is {record.expected_alerts:.2f}, and the table adds up to {expected:.2f}."
        )
    return _interval_contradiction(record, table)


def _interval_contradiction(record: ForecastRecord, table: pa.Table) -> str:
    """Return why the interval of a record is not that of its table; "" if it is."""
    from shotspotter_assets.models.alert_counts import CountDistribution, short_interval

    facts = total_of(table)
    total = CountDistribution.of_forecast(next_day_rows(table)).total(facts.factor_variance)
    low, high = map(float, short_interval(total))
    stored = (record.expected_alerts_low, record.expected_alerts_high)
    # Near an end, the last digits of a processor decide between two numbers.
    if (facts.total_low, facts.total_high) == stored and max(abs(low - stored[0]), abs(high - stored[1])) <= 1:
        return ""
    return (
        f"The interval in record.json is {stored[0]:.0f} to {stored[1]:.0f}, and the table has {low:.0f} to {high:.0f}."
    )


def version_contradiction(record: ForecastRecord, files: DayFiles) -> str:
    """Return why the version of a record is not that of its tables; "" if it is. It takes longer than all else."""
    if not files.table or not files.top:
        return ""
    table = parquet_table(files.table)
    shown = table.drop_columns([SHADOW]) if SHADOW in table.column_names else table
    version = content_version(record.why_served, [shown, parquet_table(files.top)])
    return (
        ""
        if version == record.version
        else f"version of record.json is {record.version}, and the tables have {version}."
    )
