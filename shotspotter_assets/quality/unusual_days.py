"""Days far from their usual volume."""

from typing import Final

import numpy as np

from shotspotter_assets.quality.finding import Finding, named_days
from shotspotter_assets.quality.window import Window

MAX_CHANCE_OF_MANY: Final = 1e-6
MAX_CHANCE_OF_FEW: Final = 1e-4
"""Probability, under the usual negative binomial law, below which a day is far from usual. Bursts give the upper tail
more days than the law has (1 in 24,000 days of sixteen data sets); the lower tail has none."""
MAX_DAYS_DESCRIBED: Final = 5


def unusual_days(window: Window) -> Finding:
    """No day is far from its usual volume; holidays and fireworks are expected."""
    from scipy.special import betainc, betaincc

    usual = window.usual_without_silences
    size, probability = 1 / usual.dispersion, 1 / (1 + usual.dispersion * usual.mean)
    with np.errstate(invalid="ignore"):
        # Tails of the negative binomial distribution (DLMF 8.17.24), without the load time of `scipy.stats`.
        many = (usual.counts > 0) & (betaincc(size, np.maximum(usual.counts, 1), probability) < MAX_CHANCE_OF_MANY)
        few = betainc(size, usual.counts + 1, probability) < MAX_CHANCE_OF_FEW
    judged = np.array([day >= window.judged[0] for day in usual.days])
    judged &= np.isfinite(size * probability * usual.counts)
    far = judged & (many | few)
    unusual = {usual.days[at]: float(usual.counts[at]) for at in np.flatnonzero(far & ~usual.special)}
    expected = [usual.days[at] for at in np.flatnonzero(far & usual.special)]
    described = [
        f"{usual.days[at]} ({usual.counts[at]:.0f} alerts, usual {usual.mean[at]:.1f})"
        for at in np.flatnonzero(far & ~usual.special)[:MAX_DAYS_DESCRIBED]
    ]
    message = (
        f"{len(unusual):,} days are far from their usual volume: {', '.join(described)}. Compare them with the publisher; if it "
        "says otherwise, materialise raw_alerts for them again. If the numbers are right, leave them, and know that they "
        "weigh on training."
        if unusual
        else f"{judged.sum():,} days judged, none is far from its usual volume."
    )
    if expected:
        message += f" Expected on holidays: {named_days(expected)}."
    numbers: dict[str, float | int | str] = {"judged_days": int(judged.sum()), "expected_days": len(expected)}
    return Finding(not unusual, message, numbers, unusual)
