"""Whether what was made is what had to follow from the files that landed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import pairwise

import dagster as dg

from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.account import (
    DAILY_CHAIN,
    LIVE_CHAIN,
    Materializations,
    Runs,
    materializations,
)
from shotspotter_assets.rehearsal.story import Story, newest_day

LONGEST_LEAD = Publication().longest_lead
"""Days ahead that a forecast is issued for, as no city's file says otherwise."""


def is_made(instance: dg.DagsterInstance, story: Story, cities: Sequence[str]) -> Callable[[], bool]:
    """Whether all that has landed by now is made, as far as it can be, and the corrupt files are named."""
    grids, plans = DAILY_CHAIN[-1], "patrol_plans"
    versions = {key_of(city, day): story.versions(city, day) for city in cities for day in story.days}
    landed = [key for key, number in versions.items() if number]
    again = {
        key_of(city, newest_day()): at
        for city in cities
        if newest_day() in story.days and (at := story.changed_fortnight_at(city)) is not None
    }
    forecast = [key_of(city, day) for city in cities for day in story.forecast_days(city)]

    def made() -> bool:
        gridded = materializations(instance, [grids], landed)
        planned = materializations(instance, [plans], forecast)
        return (
            all(len(gridded.get((grids, key), [])) >= versions[key] for key in landed)
            and len(planned) == len(forecast)
            and all(planned[plans, key][-1].at > at for key, at in again.items())
            and all(story.is_notified(landing) for landing in story.unreadable())
        )

    return made


def problems(
    story: Story, cities: Sequence[str], history: Sequence[date], materialized: Materializations, runs: Runs
) -> Iterator[str]:
    """What is missing, was made twice without a cause, was not named in a notice, or failed."""
    for city in cities:
        for day in [*history, *story.days]:
            versions = story.versions(city, day)
            for asset in DAILY_CHAIN:
                made = materialized.get((asset, key_of(city, day)), [])
                times = len(made)
                for one in made:
                    through = story.published_through(city, one.at)
                    if through is not None and one.known != (day <= through):
                        said = "known" if one.known else "not known yet"
                        yield f"{asset} of {key_of(city, day)} said {said} while the layer had rows up to {through}"
                if times != versions:
                    yield f"{asset} of {key_of(city, day)} was made {times} times of {versions} landed versions"
        for day in story.days:
            yield from _wrong_leads(story, city, day, materialized)
            for asset in LIVE_CHAIN:
                most = (story.max_scores if asset == "forecast_scores" else story.max_forecasts)(city, day)
                # The first day has no forecast of the day before that could be scored.
                least = 0 if asset == "forecast_scores" and day == story.days[0] else 1
                times = len(materialized.get((asset, key_of(city, day)), []))
                if not least <= times <= most:
                    yield f"{asset} of {key_of(city, day)} was made {times} times (expected {least} to {most})"
    for landing in story.unreadable():
        if not story.is_notified(landing):
            yield f"{landing.file} of {landing.city} cannot be read, and no notice names it"
    yield from _double_runs(materialized, runs)
    if failed := runs.by_status.get("FAILURE"):
        yield f"{failed} runs failed; see them with: dg dev"


def _wrong_leads(story: Story, city: str, day: date, materialized: Materializations) -> Iterator[str]:
    """Forecasts that do not say what was known, or were issued too far ahead."""
    for one in materialized.get(("risk_forecasts", key_of(city, day)), []):
        through = story.published_through(city, one.at)
        known = day if through is None else min(day, through)
        lead = (day - known).days + 1
        if (one.last_known, one.lead) != (known, lead):
            yield (
                f"risk_forecasts of {key_of(city, day)} says lead {one.lead}, known to {one.last_known}, "
                f"in place of {lead}, {known}"
            )
        if one.issued != (lead <= LONGEST_LEAD):
            issued = "was issued" if one.issued else "was not issued"
            yield f"risk_forecasts of {key_of(city, day)} {issued} at a lead of {lead} days (longest {LONGEST_LEAD})"


def _double_runs(materialized: Materializations, runs: Runs) -> Iterator[str]:
    """Partitions that two runs made at the same time."""
    for (asset, key), made in materialized.items():
        spans = sorted(runs.spans[run_id] for run_id in {one.run_id for one in made} if run_id in runs.spans)
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            yield f"{asset} of {key} was made by two runs at the same time"
