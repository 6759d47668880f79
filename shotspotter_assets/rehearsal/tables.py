"""The tables at the end of a rehearsal: when each day landed and was made, and where the time of the runs went."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.account import Made, Materializations, Runs, typical
from shotspotter_assets.rehearsal.story import Landing, Story

TITLES: Final = {
    "raw_alerts": "raw",
    "cleaned_alerts": "cleaned",
    "grid_tensors": "grid",
    "live_models": "model",
    "risk_forecasts": "forecast",
    "street_risk": "streets",
    "patrol_plans": "plan",
    "forecast_scores": "score",
}


def print_days(cities: Sequence[str], story: Story, materialized: Materializations) -> None:
    """A table of each city."""
    titles = "".join(f"{title:>12s}" for title in TITLES.values())
    for city in cities:
        print(
            f"\n{city} (times when each was first made, x times in all; seconds from the first landing that can be read)"
        )
        print(
            f"{'day':11s} {'landed':44s}{titles}{'retrained':>10s}{'lead':>9s}{'to grid':>9s}{'to plan':>9s}  notices"
        )
        for day in story.days:
            print(_day_row(city, day, story, materialized))


def print_runs(runs: Runs, story: Story, materialized: Materializations, seconds: float) -> None:
    """Counts and durations of the runs, and the notices."""
    counts = ", ".join(f"{number} {status}" for status, number in sorted(runs.by_status.items()))
    partitions = sum(map(len, materialized.values()))
    print(f"\n{sum(runs.by_status.values())} runs ({counts}) in {seconds:.0f} s; {partitions:,} partitions made")
    if runs.phases:
        queued, starting, working = typical(runs.phases)
        share = sum(phases.starting for phases in runs.phases) / sum(map(sum, runs.phases))
        print(
            f"A run (median): {queued:.1f} s in the queue, {starting:.1f} s until its process is at the first step, "
            f"{working:.1f} s of steps. Process starts are {share:.0%} of the runs' time."
        )
    print(f"{len(story.notices)} posts to the webhook:")
    for notice in story.notices:
        titles = [line for line in notice.text.splitlines() if line.startswith("*")]
        print(f"  {_clock(notice.at)} " + " / ".join(titles))


def _day_row(city: str, day: date, story: Story, materialized: Materializations) -> str:
    made = {asset: materialized.get((asset, key_of(city, day)), []) for asset in TITLES}
    landed = ", ".join(f"{_clock(landing.at)} {landing.drop.kind}" for landing in story.landings(city, day))
    # The first day has no forecast of the day before to be scored.
    due = [asset for asset in TITLES if asset != "forecast_scores" or day != story.days[0]]
    times = "".join(_times(made[asset]) if asset in due else f"{'-':>12s}" for asset in TITLES)
    trained = "yes" if any(one.trained for one in made["live_models"]) else "-"
    leads = _leads(made["risk_forecasts"])
    to_grid, to_plan = (_delay(story.readable(city, day), made[asset]) for asset in ("grid_tensors", "patrol_plans"))
    messages = [text for notice in story.notices for text in notice.text.split("\n\n")]
    notices = sorted({_kind(text) for text in messages if str(day) in text and f": {city}, " in text})
    return f"{day!s:11s} {landed:44s}{times}{trained:>10s}{leads:>9s}{to_grid:>9s}{to_plan:>9s}  {'; '.join(notices) or '-'}"


def _times(made: Sequence[Made]) -> str:
    if not made:
        return f"{'missing':>12s}"
    again = f" x{len(made)}" if len(made) > 1 else ""
    return f"{_clock(made[0].at) + again:>12s}"


def _leads(made: Sequence[Made]) -> str:
    """Leads of the first and the last forecast of a day, in brackets if none was issued."""
    leads = [str(one.lead) if one.issued else f"({one.lead})" for one in made]
    return "-" if not leads else leads[0] if leads[0] == leads[-1] else f"{leads[0]} > {leads[-1]}"


def _delay(readable: Sequence[Landing], made: Sequence[Made]) -> str:
    """From the first landing that can be read to the first time made."""
    return f"{made[0].at - readable[0].at:.0f} s" if made and readable else "-"


def _kind(message: str) -> str:
    return message.splitlines()[0].strip("*").split(":")[0].lower()


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"
