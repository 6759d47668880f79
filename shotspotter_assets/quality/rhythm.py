"""What each city's newest stored alerts say of its rhythm, kept in the store, so that one run can judge all cities quickly."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.usual import Usual, usual_volume
from shotspotter_assets.quality.window import dates_of, rows_by_day
from shotspotter_assets.sources.known_days import learned_days_late
from shotspotter_assets.storage.file_names import ALERTS_FILE, QUALITY, RHYTHM_FILE
from shotspotter_assets.storage.store import Partition, Store

RHYTHM_DAYS: Final = 120
"""Stored days that tell a city's rhythm: four months hold enough ordinary days."""


class Rhythm(BaseModel):
    """Of a city with alerts among its newest stored days."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    newest: date
    """The last day with alerts."""
    counts: list[int]
    """Alerts of the days to it, one after the other; 0 of a day that is not stored."""
    mean: float
    """Usual alerts of the last stored day; NaN where the history is too short, as for the next two."""
    quiet_mean: float
    """Of the day after `newest`, if it is stored, else of `newest`; see `Usual`."""
    dispersion: float
    """Of the same day; see `Usual`."""
    days_late: int | None
    """How late days come, as learned from when they came; None where that is not known."""

    @classmethod
    def of(cls, usual: Usual, days_late: int | None = None) -> "Rhythm | None":
        """What is usual for a city, and the end of it; None if no day has alerts."""
        with_alerts = np.flatnonzero(usual.counts > 0)
        if len(with_alerts) == 0:
            return None
        newest = int(with_alerts[-1])
        after = min(newest + 1, len(usual.days) - 1)
        return cls(
            newest=usual.days[newest],
            counts=np.nan_to_num(usual.counts[: newest + 1]).astype(int).tolist(),
            mean=float(usual.mean[-1]),
            quiet_mean=float(usual.quiet_mean[after]),
            dispersion=float(usual.dispersion[after]),
            days_late=days_late,
        )


def stored_rhythm(store: Store, city: City) -> Rhythm | None:
    """The rhythm of the newest stored raw alerts; None where there are none."""
    stored = sorted(store.days_present("raw_alerts", city.name, ALERTS_FILE))
    if not stored:
        return None
    days = days_between(max(stored[0], stored[-1] - timedelta(days=RHYTHM_DAYS)), stored[-1])
    rows = store.read_present("raw_alerts", city.name, ALERTS_FILE, days[0], days[-1], ["received_at"])
    assert rows is not None
    dates = dates_of(rows)
    counts = rows_by_day(dates, days)
    usual = usual_volume({day: counts[day] for day in stored if day >= days[0]}, days, city)
    # Simulated alerts come whenever they are asked for.
    late = None if city.source.kind == "simulated" else learned_days_late(dates, rows["received_at"], city)
    return Rhythm.of(usual, late)


def keep_rhythm(store: Store, city: City) -> Rhythm | None:
    """Store the rhythm of the raw alerts that are stored: after each change of them."""
    rhythm = stored_rhythm(store, city)
    content = b"null" if rhythm is None else rhythm.model_dump_json().encode()
    store.write_bytes(Partition(QUALITY, city.name), RHYTHM_FILE, content)
    return rhythm


def kept_rhythms(store: Store, cities: Mapping[str, City]) -> dict[str, Rhythm | None]:
    """The rhythm of each city as it was kept; of a city whose alerts an earlier version stored, it is made and kept."""
    kept = store.read_of_cities(QUALITY, RHYTHM_FILE)
    return {
        name: _of(kept[name][RHYTHM_FILE]) if name in kept else keep_rhythm(store, city)
        for name, city in cities.items()
    }


def _of(content: bytes) -> Rhythm | None:
    return None if content == b"null" else Rhythm.model_validate_json(content)
