"""Whether what was made is what had to follow from the files that landed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import dagster as dg

from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.account import (
    DAILY_CHAIN,
    LIVE_CHAIN,
    Materializations,
    Runs,
    materializations,
)
from shotspotter_assets.rehearsal.story import Story


def is_made(instance: dg.DagsterInstance, story: Story, cities: Sequence[str]) -> Callable[[], bool]:
    """Whether all that has landed by now is made, as far as it can be, and the corrupt files are named."""
    grids, plans = DAILY_CHAIN[-1], "patrol_plans"
    versions = {key_of(city, day): len(story.readable(city, day)) for city in cities for day in story.days}
    landed = [key for key, number in versions.items() if number]
    forecast = [key_of(city, day) for city in cities for day in story.forecast_days(city)]

    def made() -> bool:
        gridded = materializations(instance, [grids], landed)
        planned = materializations(instance, [plans], forecast)
        return (
            all(len(gridded.get((grids, key), [])) >= versions[key] for key in landed)
            and len(planned) == len(forecast)
            and all(story.is_notified(landing) for landing in story.unreadable())
        )

    return made


def problems(
    story: Story, cities: Sequence[str], history: Sequence[date], materialized: Materializations, runs: Runs
) -> Iterator[str]:
    """What is missing, was made twice without a cause, was not named in a notice, or failed."""
    for city in cities:
        for day in [*history, *story.days]:
            versions = len(story.readable(city, day)) if day in story.days else 1
            for asset in DAILY_CHAIN:
                times = len(materialized.get((asset, key_of(city, day)), []))
                if times != versions:
                    yield f"{asset} of {key_of(city, day)} was made {times} times of {versions} landed versions"
        for day in story.days:
            most = story.max_forecasts(city, day)
            for asset in LIVE_CHAIN:
                # The first day has no forecast of the day before that could be scored.
                least = 0 if asset == "forecast_scores" and day == story.days[0] else 1
                times = len(materialized.get((asset, key_of(city, day)), []))
                if not least <= times <= most:
                    yield f"{asset} of {key_of(city, day)} was made {times} times (expected {least} to {most})"
    for landing in story.unreadable():
        if not story.is_notified(landing):
            yield f"{landing.file} of {landing.city} cannot be read, and no notice names it"
    if failed := runs.by_status.get("FAILURE"):
        yield f"{failed} runs failed; see them with: dg dev"
