"""How the issued forecasts of the last weeks did, by the day that was forecast, as PNG bytes."""

from collections.abc import Sequence
from typing import Final

from shotspotter_assets.evaluation.plots import COLOURS, as_png, new_figure
from shotspotter_assets.serving.forecast_scores import REFERENCE, ScoreRecord

MAX_TICKS: Final = 8


def scores_by_day(records: Sequence[ScoreRecord]) -> bytes | None:
    """Alerts beside those expected, gain over the long-run mean, and hit rate, by day; None where no day has a score."""
    scored = [(record.day, record.scores) for record in records if record.scores is not None]
    if not scored:
        return None
    days = [day for day, _ in scored]
    figure = new_figure(7.2, 6.0)
    alerts, gain, hits = figure.subplots(3, 1, sharex=True)
    alerts.plot(days, [scores.observed_alerts for _, scores in scored], "o", color=COLOURS[1], label="came")
    alerts.plot(days, [scores.expected_alerts for _, scores in scored], "o-", color=COLOURS[0], label="expected")
    alerts.set_ylabel("alerts")
    alerts.legend(fontsize=8)
    # A day without alerts has neither a gain nor a hit rate, and leaves a gap.
    gains = [_or_gap(scores.gain_over_historical_mean) for _, scores in scored]
    gain.plot(days, gains, "o-", color=COLOURS[0])
    gain.axhline(0, color="grey", linewidth=0.8)
    gain.set_ylabel(f"nats per alert\nover {REFERENCE}")
    hits.plot(days, [_or_gap(scores.hit_rate[5]) for _, scores in scored], "o-", color=COLOURS[0])
    hits.set_ylim(0, 1)
    hits.set_ylabel("share of cells with an\nalert in 5% of the area")
    hits.set_xlabel("day that was forecast")
    ticks = days[:: len(days) // MAX_TICKS + 1]
    hits.set_xticks(ticks, [str(day) for day in ticks], rotation=20)
    return as_png(figure)


def _or_gap(value: float | None) -> float:
    return float("nan") if value is None else value
