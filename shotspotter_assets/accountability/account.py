"""The account of a period: what is stored about it, figures with one sentence each, tables and sections, and a city's bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from pydantic import BaseModel, Field

from shotspotter_assets.accountability.burden_audit import BurdenAudit
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.accountability import Bounds
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.estimates import Estimate
from shotspotter_assets.forecasts.issued_forecasts import DayState, day_states
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT, CITY_ACCOUNT
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

UNKNOWN: Final = "unknown"
NO_SENSORS: Final = "no sensors"  # of an area without a covered cell, where nothing is known
_FORMS: Final = {"share": ".0%", "count": ",.0f", "ratio": ".1f", "gain": "+.1%"}
"""Form of a value by unit; those of other units have one decimal."""
_WORDS: Final = {"share": "", "count": "", "ratio": " times", "gain": ""}
"""Word after a value by unit; other units are words themselves."""
Cell = str | float | int | None  # value of a table; null: unknown
WATCHED: Final = {
    "least_share_with_outcome": ("share_with_outcome", "Ask the department for the missing outcomes."),
    "least_share_of_plan_made": (
        "share_of_plan_made",
        "Ask why visits were left out; plan fewer units, or other places.",
    ),
    "most_burden_ratio": (
        "burden_ratio",
        "Compare the ways to choose places: lots and caps on repeats spread flags.",
    ),
}
"""Name of the figure, and what a person may do, by key of `accountability.bounds`, which starts with `least` or `most`."""


@dataclass(frozen=True)
class Period:
    """Days of a city, with the stored facts about them that the sections of an account share."""

    store: Store  # of the main target
    city: City
    first: date
    last: date
    table: DayTable
    history: CityHistory | None  # known alerts of the main target
    states: Mapping[date, DayState]  # of the forecasts
    audit: BurdenAudit | None

    @classmethod
    def read(cls, store: Store, city: City, first: date, last: date) -> Self:
        """Read the facts of the days from `first` to `last`."""
        return cls(
            store=store,
            city=city,
            first=first,
            last=last,
            table=DayTable.read(store, city.name, is_needed=True),
            history=CityHistory.find(store, city.only(city.target), last, first),
            states=day_states(store, city, first, last),
            audit=BurdenAudit.find_sound(store, city.name),
        )


class Figure(BaseModel, frozen=True, extra="forbid"):
    """One number; without a value, the sentence says who would have to provide it."""

    name: str = Field(description="Stable name of the number.")
    title: str
    value: float | None = Field(None, description="Null if unknown, which is not zero.")
    unit: str = "count"
    low: float | None = Field(None, description="Lower end of the interval that the sentence names.")
    high: float | None = None
    possible: tuple[float, float] | None = Field(
        None, description="Least and most that the value can be, whatever is not reported; null if all is."
    )
    sentence: str

    @property
    def number(self) -> str:
        """The value with its unit, in words; a share that is neither none nor all is not rounded to it."""
        if self.value is None:
            return UNKNOWN
        text = f"{self.value:{self._form}}"
        if self.unit == "share" and 0 < self.value < 1:
            text = {"0%": "<1%", "100%": ">99%"}.get(text, text)
        return text + _WORDS.get(self.unit, f" {self.unit}")

    @property
    def interval(self) -> str:
        """Both ends of the interval; "" without one."""
        return Estimate(self.value, self.low, self.high).interval(self._form)

    @property
    def shown(self) -> str:
        """The value with its unit and interval, in words."""
        return f"{self.number} ({self.interval})" if self.interval else self.number

    @property
    def _form(self) -> str:
        return _FORMS.get(self.unit, ",.1f")


class FigureTable(BaseModel, frozen=True, extra="forbid"):
    """A table of an account."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = Field(description="Null: unknown, which is not zero.")


class Section(BaseModel, frozen=True, extra="forbid"):
    """One subject of an account; empty tables and sentences are not shown."""

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[FigureTable, ...] = ()
    sentences: tuple[str, ...] = ()


class Account(StoredRecord):
    """The account of a city's last year, which its page shows."""

    stored_as = CITY_ACCOUNT

    title: str = Field(description="Name of the city.")
    first: date = Field(description="First day of the period.")
    last: date = Field(description="Last day of the period that is stored.")
    sections: tuple[Section, ...] = Field(description="Subjects with figures, each null if unknown, and tables.")


class AnnualReport(Account):
    """The account of one calendar year."""

    stored_as = ANNUAL_REPORT

    year: date = Field(description="1 January of the year.")
    is_under_way: bool = Field(description="True if days of the year are not stored yet.")
    seal: str | None = Field(
        None, description="Number and hash of the last sealed forecast when the report was written."
    )

    @property
    def version(self) -> str:
        """Hash of the content without the seal, which holds instants."""
        return sha256(self.model_copy(update={"seal": None}).facts())[:16]


def find_figure(sections: Sequence[Section], name: str) -> Figure | None:
    """Return a figure of any section; None without it."""
    return next((figure for section in sections for figure in section.figures if figure.name == name), None)


def kept_bounds(account: Account, bounds: Bounds) -> Finding | None:
    """Return a finding that passes if all bounds are kept; None without any.

    One on an unknown number is not kept, nor one that what is not reported decides.
    """
    problems = []
    numbers = {}
    for key, bound in bounds.model_dump(exclude_none=True).items():
        name, remedy = WATCHED[key]
        figure = find_figure(account.sections, name)
        if figure is None or figure.value is None:
            why = "The account has no such number." if figure is None else figure.sentence
            problems.append(f"{key} ({bound:g}) cannot be checked. {why}")
            continue
        numbers[name] = figure.value
        ends = figure.possible or (figure.value, figure.value)
        is_broken = [end < bound if key.startswith("least") else end > bound for end in ends]
        if any(is_broken) and not all(is_broken):
            problems.append(f"{key} ({bound:g}) cannot be checked. {figure.sentence}")
        elif any(is_broken):
            problems.append(f"{figure.title}: {figure.shown}; the city's bound is {bound:g} ({key}). {remedy}")
    is_set = bool(problems or numbers)
    return Finding(not problems, " ".join(problems) or "All bounds are kept.", numbers) if is_set else None
