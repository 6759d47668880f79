"""How much better one forecast is than another, in nats per positive, with an interval from a bootstrap of whole weeks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.forecasts_table import days_of, observed_of
from shotspotter_assets.models.probability import log_losses

Array = npt.NDArray[np.float64]

DRAWS: Final = 1_000
LEVEL: Final = 0.9


@dataclass(frozen=True)
class WeeklySums:
    """What a weekly block bootstrap draws from.

    Attributes:
        positives: number of each week, shape (weeks,).
        losses: model to its summed losses of each week, shape (weeks,).
    """

    positives: Array
    losses: dict[str, Array]


def bootstrap_gain(
    forecasts: pa.Table, model: str, over: str, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> dict[str, Any]:
    """Gain in nats per positive of `model` over `over`; see `gain_interval`."""
    weekly = weekly_losses(forecasts, (model, over))
    return gain_interval([weekly], [(model, over)], draws=draws, level=level, seed=seed)


def weekly_losses(forecasts: pa.Table, models: Iterable[str]) -> WeeklySums:
    """Positives and log losses (nats) of a forecasts table by calendar week, Monday to Sunday."""
    observed = observed_of(forecasts)
    losses = {name: log_losses(forecasts[name].to_numpy(), observed) for name in dict.fromkeys(models)}
    return weekly_sums(days_of(forecasts), observed, losses)


def weekly_sums(days: npt.NDArray[np.datetime64], positive: npt.NDArray[Any], losses: dict[str, Array]) -> WeeklySums:
    """Sums by calendar week of what is given for each row, all of shape (rows,)."""
    # Day 0 of the calendar, 1 January 1970, was a Thursday.
    _, week = np.unique((days.astype(np.int64) + 3) // 7, return_inverse=True)

    def summed(values: npt.NDArray[Any]) -> Array:
        return np.bincount(week, weights=values).astype(np.float64)

    return WeeklySums(summed(positive), {name: summed(of_model) for name, of_model in losses.items()})


def gain_interval(
    cities: Sequence[WeeklySums],
    compared: Sequence[tuple[str, str]],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Any]:
    """Gain in nats per positive, with a percentile interval from a weekly block bootstrap, pooled over cities.

    Whole weeks (Monday to Sunday) are drawn with replacement, since neighbouring days and cells are not independent;
    in each city as many as it has. A draw without any positive has no gain and is left out.

    Args:
        cities: the weeks of each city.
        compared: of each city, the model and what it is compared with.
        draws: of the bootstrap.
        level: share of the draws that the interval holds.
        seed: of the bootstrap.

    Returns:
        {"gain", "low", "high": float or None, "level", "weeks", "draws"}.
    """
    random = np.random.default_rng(seed)
    gained, positives, weeks = 0.0, 0.0, 0
    drawn_gains, drawn_positives = np.zeros(draws), np.zeros(draws)
    for city, (model, over) in zip(cities, compared, strict=True):
        difference, of_city = city.losses[over] - city.losses[model], len(city.positives)
        if not of_city:
            continue
        times_drawn = random.multinomial(of_city, np.full(of_city, 1 / of_city), size=draws)
        drawn_gains += times_drawn @ difference
        drawn_positives += times_drawn @ city.positives
        gained, positives, weeks = gained + difference.sum(), positives + city.positives.sum(), weeks + of_city
    some = drawn_positives > 0
    low, high = (
        np.quantile(drawn_gains[some] / drawn_positives[some], [(1 - level) / 2, (1 + level) / 2])
        if some.any()
        else (None, None)
    )
    return {
        "gain": float(gained / positives) if positives else None,
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "level": level,
        "weeks": weeks,
        "draws": draws,
    }
