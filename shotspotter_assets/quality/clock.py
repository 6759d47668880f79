"""Check of the alerts' times: exact as the city's file states, on the city's clock, and not filled in."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE
from shotspotter_assets.quality.finding import Finding, Problems

if TYPE_CHECKING:
    from shotspotter_assets.arrays import Array
    from shotspotter_assets.quality.window import Window

MIN_CLOCK_ALERTS: Final = 100  # minimum alerts of a year: four hours off cost 0.2 nats an alert
MONTH_DAYS: Final = 30
MIN_COARSE_SHARE: Final = 0.95  # minimum of coarse times: a few odd times do not make a source exact to the second
MAX_SHARE_AT_ONE_TIME: Final = 0.05  # at one time of day; a sound police source has 1.1% (midnight, Philadelphia)
STEPS_SECONDS: Final = {"day": 86_400, "hour": 3600, "minute": 60}


def clock(window: "Window") -> Finding:
    """Check that times are as exact as the city's file states, on the city's clock, and not filled in."""
    from shotspotter_assets.calendar.dates import is_holiday_fireworks, wall_clock
    from shotspotter_assets.quality.night import mixed_zones, wrong_hours

    city, alerts, dates = window.city, window.alerts, window.dates
    seconds = (wall_clock(alerts["time_utc"], city.zone).astype("int64") % (STEPS_SECONDS["day"] * 10**6)) / 1e6
    hours, ordinary = (seconds // 3600).astype("int64"), ~is_holiday_fireworks(dates)
    is_gunshot = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy() <= UNKNOWN_TYPE_CODE
    problems = Problems()
    precision = None
    for block, inside in window.full_blocks(dates, MIN_CLOCK_ALERTS):
        shares = {name: (seconds[inside] % step == 0).mean() for name, step in STEPS_SECONDS.items()}
        precision = next((name for name, share in shares.items() if share >= MIN_COARSE_SHARE), "second")
        found = None
        if precision != "day":
            of_block = inside & ordinary
            found = wrong_hours(hours[of_block & is_gunshot], hours[of_block & ~is_gunshot], MIN_CLOCK_ALERTS)
        for month in window.blocks(MONTH_DAYS) if precision != "day" and found is None else []:
            inside_month = month.holds(dates) & ordinary & is_gunshot
            if block.first <= month.last <= block.last and inside_month.any():
                mixed = mixed_zones(hours[inside_month], dates[inside_month], city.zone)
                problems.add(mixed, month, inside_month.sum())
        problems.add(found, block, inside.sum())
        if precision not in {"hour", "day"}:
            problems.add(_filled_in(seconds[inside]), block, inside.sum())
        elif precision != city.time_precision:
            problem = f"all times are whole {precision}s: set time_precision in the city's file to {precision}"
            problems.add(problem, block, inside.sum())
    if precision is None:
        return Finding(True, f"Fewer than {MIN_CLOCK_ALERTS} alerts a year: too few to check the clock.")
    sound = f"Times are exact to the {precision}, and on the city's clock."
    return problems.finding(sound, {"precision": precision})


def _filled_in(seconds: "Array") -> str | None:
    time, count = max(Counter(seconds.tolist()).items(), key=lambda item: (item[1], -item[0]))
    if count / len(seconds) < MAX_SHARE_AT_ONE_TIME:
        return None
    hour, minute = divmod(int(time) // 60, 60)
    return f"{count / len(seconds):.0%} of the alerts are at exactly {hour:02d}:{minute:02d}, a time that was filled in"
