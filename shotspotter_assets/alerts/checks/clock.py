"""Check of the alerts' times: exact as the city's file states, on the city's clock, and not filled in."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import Finding, Problems

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.finding import Block
    from shotspotter_assets.alerts.checks.window import Window
    from shotspotter_assets.storage.arrays import Array, Booleans, Integers

MIN_CLOCK_ALERTS: Final = 100  # minimum alerts of a year: four hours off cost 0.2 nats an alert
MONTH_DAYS: Final = 30
MIN_COARSE_SHARE: Final = 0.95  # minimum of coarse times: a few odd times do not make a source exact to the second
MAX_SHARE_AT_ONE_TIME: Final = 0.05  # at one time of day; a sound police source has 1.1% (midnight, Philadelphia)
STEPS_SECONDS: Final = {"day": 86_400, "hour": 3600, "minute": 60}


def clock(window: "Window") -> Finding:
    """Check that times are as exact as the city's file states, on the city's clock, and not filled in."""
    from shotspotter_assets.grid.dates import is_holiday_fireworks, wall_clock
    from shotspotter_assets.grid.tensors import is_gunshot

    city = window.city
    seconds = (wall_clock(window.alerts["time_utc"], city.zone).astype("int64") % (STEPS_SECONDS["day"] * 10**6)) / 1e6
    shows_night = is_gunshot(window.alerts["gunshot_type"]) & ~is_holiday_fireworks(window.dates)
    problems = Problems()
    precision = None
    for block, inside in window.full_blocks(window.dates, MIN_CLOCK_ALERTS):
        shares = {name: (seconds[inside] % step == 0).mean() for name, step in STEPS_SECONDS.items()}
        precision = next((name for name, share in shares.items() if share >= MIN_COARSE_SHARE), "second")
        if precision != "day":
            _check_zone(window, block, (seconds // 3600).astype("int64"), shows_night, problems)
        if precision not in {"hour", "day"}:
            problems.add(_filled_in(seconds[inside]), block, inside.sum())
        elif precision != city.time_precision:
            problem = f"all times are whole {precision}s: set time_precision in the city's file to {precision}"
            problems.add(problem, block, inside.sum())
    if precision is None:
        return Finding(True, f"Fewer than {MIN_CLOCK_ALERTS} alerts a year: too few to check the clock.")
    sound = f"Times are exact to the {precision}, and on the city's clock."
    return problems.finding(sound, {"precision": precision})


def _check_zone(window: "Window", block: "Block", hours: "Integers", counts: "Booleans", problems: Problems) -> None:
    """Look for times in another zone by the local hours of counted alerts: in the whole block, otherwise in its months."""
    from shotspotter_assets.alerts.checks.usual import ALL, ALL_OR_HALF, wrong_zone

    inside = block.holds(window.dates) & counts
    if inside.sum() >= MIN_CLOCK_ALERTS:
        problem = wrong_zone(hours[inside], window.dates[inside], window.city.zone, ALL)
        if problem is not None:
            problems.add(problem, block, inside.sum())
            return
    for month in window.blocks(MONTH_DAYS):
        of_month = month.holds(window.dates) & counts
        if block.first <= month.last <= block.last and of_month.any():
            problem = wrong_zone(hours[of_month], window.dates[of_month], window.city.zone, ALL_OR_HALF)
            problems.add(problem, month, of_month.sum())


def _filled_in(seconds: "Array") -> str | None:
    time, count = max(Counter(seconds.tolist()).items(), key=lambda item: (item[1], -item[0]))
    if count / len(seconds) < MAX_SHARE_AT_ONE_TIME:
        return None
    hour, minute = divmod(int(time) // 60, 60)
    return f"{count / len(seconds):.0%} of the alerts are at exactly {hour:02d}:{minute:02d}, a time that was filled in"
