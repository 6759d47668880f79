"""Cities whose newest alerts are older than their rhythm allows; of all cities at once, so it is no check of a window."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.usual import MIN_SILENT_DAYS, Usual, silence_probability, usual_volume
from shotspotter_assets.quality.window import dates_of, rows_by_day
from shotspotter_assets.sources.known_days import MIN_CHANCE, learned_days_late, silence_chance
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

MAX_CHANCE: Final = 1e-4
"""Probability of a silence below which a city is overdue."""
ENDED_DAYS: Final = 365
"""A source that is silent for longer than a year is not overdue: it has ended."""

RHYTHM_DAYS: Final = 120
"""Stored days that tell a city's rhythm: four months hold enough ordinary days, and are quickly read for many cities."""


def stored_rhythm(store: Store, city: City) -> Usual | None:
    """The usual volume of the newest stored raw alerts; None where there are none."""
    stored = sorted(store.days_present("raw_alerts", city.name, ALERTS_FILE))
    if not stored:
        return None
    days = days_between(max(stored[0], stored[-1] - timedelta(days=RHYTHM_DAYS)), stored[-1])
    rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, days[0], days[-1], ["received_row"])
    assert rows is not None
    counts = rows_by_day(dates_of(rows), days)
    return usual_volume({day: counts[day] for day in stored if day >= days[0]}, days, city)


def not_yet_due(store: Store, city: City, yesterday: date) -> int:
    """The last days to yesterday whose alerts are yet to come, by the city's file or as they have come so far."""
    complete = city.publication.complete_through(yesterday + timedelta(days=1))
    if complete is not None:
        return (yesterday - complete).days
    rows = store.read_present(
        "raw_alerts", city.name, ALERTS_FILE, yesterday - timedelta(days=RHYTHM_DAYS), yesterday, ["received_at"]
    )
    if rows is None or city.source.kind == "simulated":
        return 0
    return learned_days_late(dates_of(rows), rows["received_at"], city) or 0


def overdue_cities(
    cities: Mapping[str, Usual | None],
    last_days_over: Mapping[str, date],
    not_due: Mapping[str, int] | None = None,
    longest_leads: Mapping[str, int] | None = None,
    last_issued: Mapping[str, date] | None = None,
) -> Finding:
    """No city's newest alerts are older than its rhythm allows; sources silent for a year have ended.

    Args:
        cities: the usual volume of each city's stored raw alerts, None where nothing is stored.
        last_days_over: yesterday on each city's clock.
        not_due: see `not_yet_due`; 0 where a city is not named.
        longest_leads: beyond which nothing is forecast.
        last_issued: issue date of each city's last forecast, where it has one.
    """
    too_old: dict[str, int] = {}
    overdue: dict[str, int] = {}
    ended: dict[str, int] = {}
    described: dict[str, str] = {}
    for name, usual in cities.items():
        due = last_days_over[name] - timedelta(days=(not_due or {}).get(name, 0))
        silence = None if usual is None else _overdue_days(usual, due)
        lead = None if usual is None else _lead(usual, last_days_over[name], due)
        if lead is not None and longest_leads is not None and longest_leads[name] < lead <= ENDED_DAYS:
            too_old[name] = lead
        if usual is None or silence is None:
            continue
        (ended if silence > ENDED_DAYS else overdue)[name] = silence
        described[name] = f"{name} ({silence} days, usual {usual.mean[-1]:.1f} alerts a day)"
    longest_first = sorted(overdue, key=lambda name: -overdue[name])
    message = (
        f"Overdue: {', '.join(described[name] for name in longest_first)}. See whether the publisher has newer alerts and "
        "whether raw_alerts was materialised for the last days; forecasts of these cities rest on old data."
        if overdue
        else f"{len(cities)} cities looked at, none is overdue."
    )
    if too_old:
        named = ", ".join(
            f"{name} (the day to forecast is {lead} days after its last known day{_out_of_date(name, last_issued)})"
            for name, lead in too_old.items()
        )
        message += f" Nothing is forecast any more for {named}: see publication.longest_lead of the city's file."
    if ended:
        message += f" Ended more than a year ago: {', '.join(sorted(ended))}."
    numbers: dict[str, float | int | str] = {f"days_late_{name}": silence for name, silence in overdue.items()}
    numbers |= {f"lead_{name}": lead for name, lead in too_old.items()}
    return Finding(not overdue and not too_old, message, numbers)


def late_city(finding: Finding, city: str) -> str | None:
    """What the finding of all cities says of one; None if it is not late."""
    silence, lead = finding.numbers.get(f"days_late_{city}"), finding.numbers.get(f"lead_{city}")
    parts = [
        f"No alerts for {silence} days." if silence is not None else "",
        f"Nothing is forecast any more, {lead} days ahead of the last known day." if lead is not None else "",
    ]
    return " ".join(filter(None, parts)) or None


def _out_of_date(city: str, last_issued: Mapping[str, date] | None) -> str:
    issued = (last_issued or {}).get(city)
    return "" if issued is None else f"; the forecast issued on {issued} is out of date"


def _lead(usual: Usual, yesterday: date, due: date) -> int | None:
    """Days from the last known day to today's, whose forecast was the last to be issued; None without alerts.

    Args:
        usual: of the stored raw alerts.
        yesterday: the last day that is over.
        due: the last day whose alerts have to be there.
    """
    with_alerts = np.flatnonzero(usual.counts > 0)
    if len(with_alerts) == 0:
        return None
    newest = usual.days[with_alerts[-1]]
    counts = np.nan_to_num(usual.counts[: with_alerts[-1] + 1]).astype(np.int64)
    silence = (yesterday - newest).days
    # However plausible a silence is, days whose alerts are yet to come are not known.
    last_known = max(newest, due) if silence_chance(counts, silence) >= MIN_CHANCE else newest
    return (yesterday - last_known).days + 1


def _overdue_days(usual: Usual, last_day_over: date) -> int | None:
    """Days since the last day with alerts when chance does not explain them, else None."""
    with_alerts = np.flatnonzero(usual.counts > 0)
    if len(with_alerts) == 0:
        return None
    silence = (last_day_over - usual.days[with_alerts[-1]]).days
    after = min(with_alerts[-1] + 1, len(usual.days) - 1)
    if silence < MIN_SILENT_DAYS:
        return None
    # Without enough history to judge by, so long a silence is worth a look.
    if not np.isfinite(usual.quiet_mean[after] * usual.dispersion[after]):
        return silence
    return silence if silence_probability(usual, after, silence) < MAX_CHANCE else None
