"""The model of a city. `city_files` reads it from YAML."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shotspotter_assets.cities.accountability import Accountability, AuditLayer, Outcomes, Patrols
from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.cities.layers import BaseMap, Factors, Layers, Streets
from shotspotter_assets.cities.patrol_rules import PatrolRules
from shotspotter_assets.cities.publication import Acknowledged, NowcastRules, Publication
from shotspotter_assets.cities.source_settings import Limits, Site, SourceSettings
from shotspotter_assets.cities.strict_model import NAME_PATTERN, StrictModel
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import GUNFIRE

if TYPE_CHECKING:
    from shotspotter_assets.storage.store import Store

GUNSHOT_TYPES = {0: "single gunshot", 1: "multiple gunshots", 2: "gunshot or firecracker"}  # names by code
UNKNOWN_TYPE_CODE = 3  # code of gunshot alerts of unknown type in grids
FIRST_EVENT_CODE = 4  # codes from here on are the city's `event_types`, in the order of its file
GUNSHOTS: Final = "gunshots"  # event of targets: gunshot alerts of all types
CONTACT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:.+")  # owners in Dagster
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Day = Annotated[date, Field(ge=date(1990, 1, 1), le=date(2099, 12, 31))]  # plausible: sensors exist since the 1990s
MAX_OFFSET_DEGREES: Final = 30.0  # maximum distance of the longitude from the time zone's meridian, 15 an hour


@cache
def _time_zones() -> set[str]:
    # Zones with a region have daylight saving. The search reads thousands of files.
    return {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")} | {"UTC"}


class Coverage(StrictModel):
    """Published coverage: the areas with sensors."""

    file: Path  # GeoJSON of polygons in WGS84; a relative path starts at the folder of the city's file
    name_property: str  # the property of each polygon that names its area
    areas: dict[str, date] = Field(min_length=1)  # first covered day of each covered area


class City(StrictModel):
    """One city: its clock, box and grid, its first day with data, and the sources of its alerts."""

    name: str = Field(pattern=NAME_PATTERN, max_length=60)
    title: str = Field("", max_length=60)  # name for readers; by default derived from `name`
    contact: str = ""  # e-mail address, or `team:NAME`, of those who answer for the city; owner of its assets in the UI
    time_zone: str
    start: Day
    box: Box
    grid: Grid = Grid()
    source: SourceSettings
    other_sources: tuple[SourceSettings, ...] = ()  # further sources, such as police reports
    automation: Literal["manual", "recent", "history"] = "manual"
    """`manual`: nothing starts; `recent`: recent days and folds of the last year; `history`: all days and folds."""
    limits: Limits = Limits()  # limits above which a landed file is refused
    publication: Publication = Publication()  # delay and cadence of the source
    end: Day | None = None  # last day of a service that has ended
    is_tried: bool = True  # False for a file that has never been run on alerts of its city
    first_forecast: Day | None = None  # first issue date of live models, forecasts and plans; null for `start`
    coverage: Coverage | None = None  # published coverage; null for one that is estimated from the alerts
    layers: Layers = Layers()  # districts and streets that name places on the pages
    factors: Factors = Field(default_factory=dict)  # further data on places and days, inputs of the next-day forecast
    audit: AuditLayer | None = None  # residents by group, for burden audits alone; null for audits by area only
    streets: Streets | None = None  # street lines whose segments are ranked; null for a city without `street_risk`
    base_map: BaseMap | None = None  # background map of the pages; null for pages that fetch nothing
    time_precision: Literal["second", "hour", "day"] = "second"  # unit of published times, and shortest forecast
    counted: Literal["alerts", "incidents"] = "alerts"  # in grids: every alert, or each incident once, where it began
    gunshot_spellings: dict[str, Literal[0, 1, 2] | None] = Field({})  # in addition to common ones; null: no type
    event_types: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Incidents other than gunshot alerts (robbery, homicide), by name, with their spellings in the source."""
    targets: dict[Name, tuple[str, ...]] = Field({GUNFIRE: (GUNSHOTS,)})
    """Forecasts by name, the main one first, with the events that each counts: `gunshots`, or names of `event_types`."""
    holidays: str = "US"  # country (and subdivision, as US-DC) whose public holidays the city has
    max_share_rejected: float = Field(default=0.5, ge=0, le=1)  # maximum share of unusable rows of a run
    unusual_days: Literal["hold", "show"] = "hold"
    """Days with far more alerts than usual: held back until a person accepts them, or shown above the forecast."""
    acknowledged: tuple[Acknowledged, ...] = ()  # warnings and landed files that a person has accepted
    outcomes: Outcomes | None = None  # table of what became of alerts; null for a city without `alert_outcomes`
    accountability: Accountability = Accountability()  # a person's statements, and bounds that the city sets
    patrol: PatrolRules | None = None  # rules of patrol plans; null for a city without them
    patrols: Patrols | None = None  # table of patrols made; null for a city without `patrols_made`
    public: bool = False  # True for a public page of areas and levels beside the pages
    nowcasts: NowcastRules | None = None  # cadence of nowcasts; null for a city without automatic ones
    retraining: Literal["hourly", "daily", "weekly"] = "weekly"
    """Cadence of the live models; `hourly`: weekly, and those of hours also after new alerts, once an hour at most."""
    folds: Folds = Folds()  # cadence and windows of the walk-forward folds
    shared: bool = True  # True if `shared_models` learn from its alerts; its own models start from them anyway
    network: bool = True  # False leaves the network, and with it TensorFlow, out of folds and live models
    serves: str | None = None  # forecaster (`forecaster_registry`) that serves if it passes the gate; null for ours
    gate: Literal["enforce", "alarm"] = "enforce"  # `alarm`: the forecaster serves without passing, and pages say so
    level: Literal["alarm", "withhold"] = "alarm"
    """`withhold`: the best simple method serves while the candidate's expected alerts of a year are off; else a check says so."""
    shadow: str | None = None  # forecaster that is trained, forecast and scored daily, and never shown
    approval: Literal["automatic", "person"] = "automatic"  # `person`: new live models wait for a person's approval
    forecasters: dict[str, dict[str, Any]] = Field(default_factory=dict)  # their settings that differ from defaults

    @field_validator("contact")
    @classmethod
    def _is_an_owner(cls, value: str) -> str:
        if value and not CONTACT.fullmatch(value):
            raise ValueError(
                f"{value!r} is not a contact (allowed: an e-mail address, or a team such as team:analysts)"
            )
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone_with_a_region(cls, value: str) -> str:
        if value not in _time_zones():
            near = (get_close_matches(value, _time_zones(), 1) or ["America/New_York"])[0]
            raise ValueError(f"{value!r} is not an IANA time zone with a region (allowed: names such as {near})")
        return value

    @field_validator("box")
    @classmethod
    def _lies_in_its_time_zone(cls, box: Box, info: ValidationInfo) -> Box:
        """Refuse swapped axes and wrong signs, by the longitude of the time zone's meridian."""
        if "time_zone" not in info.data:  # refused already
            return box
        winter = datetime(2024, 1, 1, tzinfo=ZoneInfo(info.data["time_zone"]))
        offset = (winter.utcoffset() or timedelta()) - (winter.dst() or timedelta())
        meridian = offset / timedelta(hours=1) * 15

        def is_near(longitude: float) -> bool:
            return abs((longitude - meridian + 180) % 360 - 180) <= MAX_OFFSET_DEGREES

        if not is_near(box.west) and is_near(box.south):
            raise ValueError("longitude and latitude seem to be swapped; west and east are longitudes")
        is_far_from_greenwich = abs(meridian) > MAX_OFFSET_DEGREES  # elsewhere either sign may be right
        if is_far_from_greenwich and any(is_near(-edge) and not is_near(edge) for edge in (box.west, box.east)):
            hint = f"{info.data['time_zone']} is near {meridian:g}"
            raise ValueError(f"longitudes seem to lack their minus sign, or to have one too many ({hint})")
        return box

    @field_validator("holidays")
    @classmethod
    def _is_a_known_calendar(cls, value: str) -> str:
        from holidays.registry import COUNTRIES

        if value.split("-", maxsplit=1)[0] not in {name for names in COUNTRIES.values() for name in names}:
            raise ValueError(
                f"{value!r} is not a country with a calendar (allowed: US, CA, GB, or with a state, such as US-DC)"
            )
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> "City":
        problems = [*self._problems_of_days(), *self._problems_of_events(), *self._problems_of_products()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_of_days(self) -> Iterator[str]:
        """Yield the contradictions between days, and between days and windows of folds."""
        today = datetime.now(self.zone).date()
        if self.start >= today:
            yield f"start ({self.start}) must be before today"
        if problem := self.folds.problem(self.start, min(self.end or today, today).replace(day=1)):
            yield problem
        if self.end is not None and self.end < self.start:
            yield f"end ({self.end}) must not be before start ({self.start})"
        if not self.start <= self.first_issue_date <= (self.end or date.max):
            first = f"first_forecast ({self.first_forecast})"
            yield f"{first} must be a day from start ({self.start}) to end ({self.end or 'none'})"

    def _problems_of_events(self) -> Iterator[str]:
        """Yield the contradictions between types of events and targets."""
        spellings = Counter(spelling.lower() for of_type in self.event_types.values() for spelling in of_type)
        if max(spellings.values(), default=1) > 1:
            yield "event_types has a spelling under two names"
        if GUNSHOTS in self.event_types:
            yield f"event_types must not be named {GUNSHOTS}, which are alerts"
        if not self.targets:
            yield "targets must name a forecast"
        if "public" in self.targets:
            yield "targets must not be named public, which is the folder of the public page"
        events = dict.fromkeys([GUNSHOTS, *self.event_types])
        for name, counted in self.targets.items():
            wrong = [event for event in counted if event not in events or counted.count(event) > 1]
            if wrong or not counted:
                allowed = f"it needs different events (allowed: {', '.join(events)})"
                yield f"targets.{name}: names {', '.join(wrong) or 'nothing'}; {allowed}"

    def _problems_of_products(self) -> Iterator[str]:
        """Yield the contradictions between factors, patrol rules or nowcasts and other keys."""
        audited = None if self.audit is None else normpath(self.audit.path)
        for name, factor in self.factors.items():
            if normpath(factor.path) == audited:
                yield f"factors.{name} reads the file of audit, whose figures are for audits alone; name another file"
        weights = self.patrol.weights if self.patrol else {}
        if weights.keys() - self.targets.keys():
            yield f"patrol.weights must name targets: {', '.join(self.targets)}"
        if self.targets and not any(weights.get(name, 1) for name in self.targets):
            yield "patrol.weights must leave a target above 0"
        if self.nowcasts is not None and not self.publication.answers_at_once:
            yield "nowcasts needs a source that gives alerts at once; write publication: {days_late: 0} if it does"
        if self.nowcasts is not None and self.time_precision != "second":
            yield "nowcasts needs times of alerts to the second"
        if self.retraining == "hourly" and (self.nowcasts is None or self.approval == "person"):
            yield "retraining: hourly refits the models of nowcasts, and needs nowcasts and approval: automatic"

    def has(self, asset: Asset) -> bool:
        """Return True if the city's file has the section that an asset needs."""
        return not asset.spec.section or getattr(self, asset.spec.section) is not None

    def require_times(self, hours: int) -> None:
        """Raise ValueError for spans of hours that are too short for the city's `time_precision`."""
        shortest = {"second": 0, "hour": 1, "day": 24}[self.time_precision]
        if hours < shortest:
            raise ValueError(
                f"City {self.name}: spans of {hours} h need more exact times than it has (time_precision: "
                f"{self.time_precision}). Use {shortest} h or longer, or correct time_precision in the city's file."
            )

    def last_test_day(self, cutoff: date) -> date:
        """Return the last day of a fold's test window; a day before the cutoff after the city's end."""
        return min(self.folds.last_test_day(cutoff), self.end or date.max)

    def cutoffs(self, last: date) -> list[date]:
        """Return the cutoffs of the city's folds to the day after `last`, in order."""
        cutoffs = [self.folds.first_cutoff(self.start)]
        while cutoffs[-1] <= last + timedelta(days=1):
            cutoffs.append(self.folds.next_cutoff(cutoffs[-1]))
        return cutoffs[:-1]

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the city."""
        return ZoneInfo(self.time_zone)

    @property
    def all_sources(self) -> tuple[SourceSettings, ...]:
        """Sources of the city, the main one first."""
        return self.source, *self.other_sources

    @property
    def arrivals(self) -> set[str]:
        """Ways in which new days become known."""
        return {source.arrival for source in self.all_sources}

    @property
    def site(self) -> Site:
        """The part of the city that readers of its sources need."""
        return Site(
            name=self.name,
            zone=self.zone,
            start=self.start,
            end=self.end,
            box=self.box,
            grid=self.grid,
            sources=self.all_sources,
            limits=self.limits,
            max_share_rejected=self.max_share_rejected,
            acknowledged_files=frozenset(entry.file for entry in self.acknowledged if entry.file is not None),
        )

    @property
    def service(self) -> str:
        """State of the service: live, landed files, daily, simulated, weekly, monthly, quarterly, ended or never tried."""
        by_arrival = {"polled": "live", "landed": "landed files", "daily": "daily"}
        regular = "simulated" if self.is_simulated else by_arrival[self.source.arrival]
        if self.end is not None:
            ended = f"ended on {self.end}" if regular == "live" else f"{regular} to {self.end}"
            return ended if self.is_tried else f"{ended}, never tried"
        if not self.is_tried:
            return "never tried"
        return f"{self.publication.every}ly" if self.publication.every else regular

    @property
    def first_issue_date(self) -> date:
        """First issue date of live models, forecasts and plans."""
        return self.first_forecast or self.start

    @property
    def is_automated(self) -> bool:
        """True if sensors and schedules may start runs for the city."""
        return self.automation != "manual"

    @property
    def is_simulated(self) -> bool:
        """True for a simulated city, whose runs must not delay those of other cities."""
        return self.source.kind == "simulated"

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the grid."""
        return self.grid.shape

    @property
    def type_names(self) -> dict[int, str]:
        """Name of each type code of the city, the unknown gunshot type among them."""
        events = dict(enumerate(self.event_types, start=FIRST_EVENT_CODE))
        return GUNSHOT_TYPES | {UNKNOWN_TYPE_CODE: "unknown"} | events

    @property
    def shown_title(self) -> str:
        """Name for readers: the `title`, or Washington DC for washington_dc."""
        words = [word.upper() if len(word) <= 2 else word.capitalize() for word in self.name.split("_")]
        return self.title or " ".join([words[0], *("city" if word == "City" else word for word in words[1:])])

    @property
    def target(self) -> str:
        """Main target: the first one in the city's file, and the only one of each city in `by_target`."""
        return next(iter(self.targets))

    def by_target(self, store: "Store") -> list[tuple["Store", "City"]]:
        """Return for each target the store of its files, and the city with only that target."""
        return [(store.of(name), self.only(name)) for name in self.targets]

    def only(self, target: str) -> "City":
        """Return the city with one of its targets; raise ValueError for another."""
        if target not in self.targets:
            raise ValueError(f"City {self.name} has no target {target} (allowed: {', '.join(self.targets)}).")
        return self.model_copy(update={"targets": {target: self.targets[target]}})

    @property
    def forecast_codes(self) -> tuple[int, ...]:
        """Type codes of the events that the target counts."""
        codes = {name: (code,) for code, name in self.type_names.items()} | {GUNSHOTS: tuple(range(FIRST_EVENT_CODE))}
        return tuple(code for name in self.targets[self.target] for code in codes[name])

    @property
    def is_of_gunfire(self) -> bool:
        """True if the target counts only gunshot alerts, which have shared models, fireworks and types."""
        return self.targets[self.target] == (GUNSHOTS,)

    @property
    def event(self) -> str:
        """Word for one event of the target: gunshots are alerts, others are incidents."""
        return "alert" if self.is_of_gunfire else "incident"

    @property
    def rows(self) -> str:
        """Word for the rows of all targets: a city with other targets than gunfire has more than alerts."""
        return "alerts" if set(self.targets.values()) == {(GUNSHOTS,)} else "data"
