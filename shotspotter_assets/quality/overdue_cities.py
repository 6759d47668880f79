"""Cities whose newest alerts are older than their rhythm allows; of all cities at once, so it is no check of a window."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.rhythm import Rhythm
from shotspotter_assets.quality.usual import MIN_SILENT_DAYS, probability_of_silence
from shotspotter_assets.sources.known_days import MIN_CHANCE, silence_chance

MAX_CHANCE: Final = 1e-4
"""Probability of a silence below which a city is overdue."""
ENDED_DAYS: Final = 365
"""A source that is silent for longer than a year is not overdue: it has ended."""


def not_yet_due(city: City, rhythm: Rhythm | None, yesterday: date) -> int:
    """The last days to yesterday whose alerts are yet to come, by the city's file or as they have come so far."""
    complete = city.publication.complete_through(yesterday + timedelta(days=1))
    if complete is not None:
        return (yesterday - complete).days
    return 0 if rhythm is None or rhythm.days_late is None else rhythm.days_late


def overdue_cities(
    rhythms: Mapping[str, Rhythm | None],
    cities: Mapping[str, City],
    last_days_over: Mapping[str, date],
    last_issued: Callable[[str], date | None] = lambda _: None,
) -> Finding:
    """No city's newest alerts are older than its rhythm allows; sources silent for a year have ended.

    Args:
        rhythms: of each city's stored raw alerts, None where nothing is stored.
        cities: their files, which say when alerts are due and how far ahead is forecast.
        last_days_over: yesterday on each city's clock.
        last_issued: looks for the issue date of a city's last forecast, None if it has none.
    """
    too_old: dict[str, int] = {}
    overdue: dict[str, int] = {}
    ended: dict[str, int] = {}
    described: dict[str, str] = {}
    for name, rhythm in rhythms.items():
        if rhythm is None:
            continue
        yesterday = last_days_over[name]
        due = yesterday - timedelta(days=not_yet_due(cities[name], rhythm, yesterday))
        silence, lead = _overdue_days(rhythm, due), _lead(rhythm, yesterday, due)
        if cities[name].publication.longest_lead < lead <= ENDED_DAYS:
            too_old[name] = lead
        if silence is None:
            continue
        (ended if silence > ENDED_DAYS else overdue)[name] = silence
        described[name] = f"{name} ({silence} days, usual {rhythm.mean:.1f} alerts a day)"
    longest_first = sorted(overdue, key=lambda name: -overdue[name])
    message = (
        f"Overdue: {', '.join(described[name] for name in longest_first)}. See whether the publisher has newer alerts and "
        "whether raw_alerts was materialised for the last days; forecasts of these cities rest on old data."
        if overdue
        else f"{len(rhythms)} cities looked at, none is overdue."
    )
    if too_old:
        named = ", ".join(
            f"{name} (the day to forecast is {lead} days after its last known day{_out_of_date(last_issued(name))})"
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


def _out_of_date(issued: date | None) -> str:
    return "" if issued is None else f"; the forecast issued on {issued} is out of date"


def _lead(rhythm: Rhythm, yesterday: date, due: date) -> int:
    """Days from the last known day to today's, whose forecast was the last to be issued.

    Args:
        rhythm: of the stored raw alerts.
        yesterday: the last day that is over.
        due: the last day whose alerts have to be there.
    """
    silence = (yesterday - rhythm.newest).days
    # However plausible a silence is, days whose alerts are yet to come are not known.
    is_plausible = silence_chance(np.array(rhythm.counts), silence) >= MIN_CHANCE
    last_known = max(rhythm.newest, due) if is_plausible else rhythm.newest
    return (yesterday - last_known).days + 1


def _overdue_days(rhythm: Rhythm, last_day_over: date) -> int | None:
    """Days since the last day with alerts when chance does not explain them, else None."""
    silence = (last_day_over - rhythm.newest).days
    if silence < MIN_SILENT_DAYS:
        return None
    # Without enough history to judge by, so long a silence is worth a look.
    if not np.isfinite(rhythm.quiet_mean * rhythm.dispersion):
        return silence
    return silence if probability_of_silence(rhythm.quiet_mean, rhythm.dispersion, silence) < MAX_CHANCE else None
