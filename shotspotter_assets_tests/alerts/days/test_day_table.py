from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.alerts.days.day_table import DayRows
from shotspotter_assets.alerts.days.known_days import SourceReport, decide_days, silence_chance
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST = date(2026, 1, 1)


def a_city(kind: str = "landing", file_date: str | None = None, **publication: object) -> City:
    source: dict[str, object] = {"kind": kind}
    source |= {"columns": {"time": "t"}} if kind != "simulated" else {}
    source |= {"file_date": file_date} if kind == "landing" else {}
    source |= {"layer": "https://maps.example.gov/0"} if kind == "arcgis" else {}
    return made_up_city("dale", (-77.0, 38.0, -76.0, 39.0), start=FIRST, source=source, publication=publication)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def report(city: City, days: int, named: Iterable[int] = ()) -> SourceReport:
    """The report of the city's first source: days of its files, and an answer today if it is an API."""
    files = {day(at): f"{at}.csv" for at in named}
    kind = city.source.kind
    since = min(files, default=None) if getattr(city.source, "file_date", None) else None
    answer = {"since": city.site.live_since[0], "answered_on": day(days)} if kind == "arcgis" else {}
    return SourceReport(files=files, daily_since=since, is_complete=kind == "simulated", **answer)


def states(
    city: City, found: dict[int, DayRows], days: int, named: Iterable[int] = (), quiet: Iterable[int] = ()
) -> list[str]:
    rows = {day(at): of_day for at, of_day in found.items()}
    decisions = decide_days(city, [report(city, days, named)], {day(at) for at in quiet}, rows, day(days - 1))
    return [decision.state for decision in decisions.values()]


def counted(city: City, rate: float, silent: int, days_late: int | None = None) -> int:
    counts = [*np.random.default_rng(1).poisson(rate, 300), 1]
    noons = [datetime.combine(day(at + 1 + (days_late or 0)), time(17), tzinfo=UTC) for at in range(len(counts))]
    received = [None] * len(counts) if days_late is None else noons
    found = {at: DayRows(int(rows), received[at]) for at, rows in enumerate(counts) if rows}
    after = states(city, found, len(counts) + silent)[len(counts) :]
    assert after == sorted(after, key=["known", "silent", "unknown"].index)
    return sum(state != "unknown" for state in after)


@pytest.mark.parametrize(("rate", "plausible", "too_long"), [(20, 0, 1), (20, 0, 53), (2, 2, 10), (1 / 7, 30, 150)])
def test_an_answer_is_believed_as_long_as_the_rate_allows_its_silence(
    rate: float, plausible: int, too_long: int
) -> None:
    gateway = a_city("arcgis", days_late=0)
    assert counted(gateway, rate, plausible) == plausible
    assert counted(gateway, rate, too_long) == 0


@pytest.mark.parametrize("rate", [1 / 7, 2, 20])
def test_a_silence_that_nothing_reported_is_unknown(rate: float) -> None:
    assert counted(a_city(), rate, 2) == 0
    assert counted(a_city(days_late=0), rate, 2) == 0, "a folder without a file is no answer"
    assert counted(a_city("arcgis"), rate, 2) == 0, "the lateness of the layer is not known yet"


def test_the_silence_of_a_simulation_is_complete() -> None:
    assert counted(a_city("simulated"), 20, 5) == 5


def test_days_to_come_are_unknown_however_plausible_silence_is() -> None:
    assert counted(a_city("arcgis", days_late=3), 1 / 7, 10) == 7
    assert counted(a_city("arcgis", days_late=3), 20, 10) == 0
    assert counted(a_city("arcgis"), 1 / 7, 10, days_late=2) == 8, "lateness learned from arrivals"


def test_a_word_or_a_file_reports_a_day_and_no_other() -> None:
    busy = {at: DayRows(20) for at in range(100)}
    assert states(a_city(), busy, 103, quiet=[101])[100:] == ["unknown", "known", "unknown"]
    assert states(a_city(), busy, 103, named=[100])[100:] == ["known", "unknown", "unknown"]
    assert states(a_city(), busy, 110, quiet=range(100, 110))[100:] == ["unknown"] * 10, "ten such days are an outage"


def test_an_outage_within_a_history_is_unknown() -> None:
    busy = {at: DayRows(20) for at in [*range(60), 62, *range(90, 120)]}
    found = states(a_city(), busy, 120)
    assert found[60:63] == ["known"] * 3
    assert found[63:90] == ["unknown"] * 27
    thin = {at: DayRows(1) for at in [*range(0, 60, 7), 90]}
    assert "unknown" not in states(a_city(), thin, 91)


def test_each_source_reports_for_itself() -> None:
    """The first source decides once it has begun: rows of another one are no report of its silence."""
    city = a_city()
    alerts = "alerts/1.csv"
    calls = "calls/1.csv"
    found = {day(at): DayRows(9, origins=[calls]) for at in range(10)}
    found |= {day(at): DayRows(9, origins=[calls, alerts]) for at in (3, 4, 6)}
    reports = [SourceReport(lambda name: name == alerts), SourceReport(lambda name: name == calls)]
    decided = [decision.state for decision in decide_days(city, reports, (), found, day(9)).values()]
    assert decided == ["known"] * 7 + ["unknown"] * 3


def test_days_without_rows_are_known_between_days_with_rows() -> None:
    assert states(a_city(), {2: DayRows(9), 4: DayRows(9)}, 5) == ["unknown"] * 2 + ["known"] * 3
    assert states(a_city(), {2: DayRows(9), 4: DayRows(9)}, 6, quiet=[0])[0] == "known"
    assert states(a_city(), {}, 2) == ["unknown"] * 2


@given(end=st.integers(1, 20), since=st.integers(1, 40), later=st.integers(0, 20), at_once=st.booleans())
def test_no_day_between_a_file_and_since_is_known(end: int, since: int, later: int, at_once: bool) -> None:
    live = {"kind": "arcgis", "layer": "https://maps.example.gov/0", "columns": {"time": "t"}, "since": day(since)}
    sources = {"source": live, "other_sources": [{"kind": "landing", "columns": {"time": "t"}}]}
    rule = {"days_late": 0} if at_once else {}
    city = made_up_city("dale", (-77.0, 38.0, -76.0, 39.0), start=FIRST, publication=rule, **sources)
    has_rows = {*range(end), *range(since, since + later)}
    of_layer = range(since, since + later)
    expected = ["known" if at in of_layer or at < min(end, since) else "unknown" for at in range(since + later)]
    found = {day(at): DayRows(9, origins=["file"] * (at < end) + ["layer"] * (at in of_layer)) for at in has_rows}
    layer = SourceReport(lambda name: name == "layer", since=day(since), answered_on=day(since + later))
    reports = [layer, SourceReport(lambda name: name == "file")]
    decisions = decide_days(city, reports, (), found, day(since + later - 1)).values()
    assert [decision.state for decision in decisions] == expected


def test_a_day_most_of_whose_rows_are_rejected_is_held_back() -> None:
    found = {0: DayRows(9), 1: DayRows(9, held_back="Coordinates."), 2: DayRows(9)}
    assert states(a_city(), found, 3) == ["known", "held_back", "known"]
    assert states(a_city(), {at: found[at] for at in (0, 1)}, 3) == ["known", "held_back", "unknown"]


def test_a_missing_daily_file_is_no_day_without_alerts() -> None:
    daily = a_city(file_date="%Y-%m-%d")
    found = {at: DayRows(9) for at in range(1, 20, 2)}
    assert states(daily, found, 21, named=range(20)) == ["known"] * 20 + ["unknown"]
    assert states(daily, found, 20, named={*range(20)} - {10})[9:12] == ["known", "unknown", "known"]
    sparse = states(daily, found, 20, named=found)
    assert sparse[9:12] == ["known"] * 3, "this publisher writes no file on days without alerts"


def test_silence_is_plausible_without_alerts_and_not_by_fireworks() -> None:
    assert silence_chance(np.zeros(0, dtype=np.int64), 40) == 1
    counts = np.random.default_rng(1).poisson(20, 300)
    assert silence_chance(np.r_[counts, 900, counts[:20]], 1) < 1e-3


@pytest.mark.parametrize(
    ("rule", "asked_on", "complete"),
    [
        ({"days_late": 0}, "2026-11-23", "2026-11-22"),
        ({"days_late": 3}, "2026-11-23", "2026-11-19"),
        ({"every": "quarter"}, "2026-11-23", "2026-09-30"),
        ({"every": "quarter"}, "2027-01-01", "2026-12-31"),
        ({"every": "quarter", "days_late": 10}, "2027-01-10", "2026-09-30"),
        ({"every": "month"}, "2026-11-23", "2026-10-31"),
        ({"every": "week"}, "2026-11-23", "2026-11-22"),
        ({"every": "week"}, "2026-11-22", "2026-11-15"),
    ],
)
def test_a_rule_names_the_last_day_that_has_to_be_there(rule: dict[str, object], asked_on: str, complete: str) -> None:
    asked = date.fromisoformat(asked_on)
    assert Publication.model_validate(rule).complete_through(asked) == date.fromisoformat(complete)
