"""Runs of days without an alert."""

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.usual import runs, silences
from shotspotter_assets.quality.window import Window


def silent_days(window: Window) -> Finding:
    """No run of days without alerts that the usual rate rules out."""
    usual, first, last = window.usual, window.judged[0], window.judged[-1]
    silent = silences(usual)
    missing = {
        day: 0.0 for day, is_silent in zip(usual.days, silent, strict=True) if is_silent and first <= day <= last
    }
    described = [
        f"{usual.days[start]} to {usual.days[stop - 1]} ({stop - start} days)"
        for start, stop in runs(silent)
        if usual.days[stop - 1] >= first
    ]
    unknown = sorted(window.unknown)
    without_alerts = int(sum(usual.counts[at] == 0 for at, day in enumerate(usual.days) if day >= first))
    message = (
        f"No alert at all from {'; from '.join(described)}: the usual rate rules that out, so the data are missing. Ask the "
        "publisher; until they come, leave these days out of training and tests."
        if missing
        else "No stretch without alerts that is longer than chance allows."
    )
    if unknown:
        message += f" What happened from {unknown[0]} to {unknown[-1]} is not known yet, and nothing is made of it."
    return Finding(
        not missing,
        message,
        {"days_without_alerts": without_alerts, "missing_days": len(missing), "not_known_days": len(unknown)},
        missing,
    )
