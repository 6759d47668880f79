"""How the shares of streets are best learned: `python benchmarks/street_settings.py --data FOLDER --cache FOLDER [--cities ...]`.

On the year before the first test day of each city alone: Washington DC 2017, Oakland to September 2012, Cincinnati 2021. An
exponentially weighted mean forecasts the cells of each half of it, and shares learned from the alerts before the half divide
them among the segments, with each setting of `ShareSettings` changed in turn. Prints Markdown: gains over the usual settings in
nats per segment-day with an alert, with 90% intervals of a weekly block bootstrap, by city and over the cities together, and
hit rates of 1, 2 and 5% of the length; Cincinnati also as learned from points rounded as Washington's are.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmark_cities import BENCHMARKS, folds, parser, quarters
from streets import CITIES, Town

from shotspotter_assets.evaluation.gains import WeeklySums, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.street_scores import LENGTHS, Network, hits, soft_losses
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.streets.shares import USUAL, StreetShares

FORECASTER = "ewma"
CHANGES = {
    "usual": USUAL,
    "half-life of 1 year": replace(USUAL, half_life_days=365.0),
    "of 4 years": replace(USUAL, half_life_days=1460.0),
    "none": replace(USUAL, half_life_days=np.inf),
    "prior of 3 days": replace(USUAL, prior_days=3.0),
    "of 30 days": replace(USUAL, prior_days=30.0),
    "prior by length alone": replace(USUAL, kernel_metres=0.0),
    "kernel of 50 m": replace(USUAL, kernel_metres=50.0),
    "of 200 m": replace(USUAL, kernel_metres=200.0),
    "of 400 m": replace(USUAL, kernel_metres=400.0),
    "25 m of mean rate": replace(USUAL, kernel_prior_metres=25.0),
    "400 m of mean rate": replace(USUAL, kernel_prior_metres=400.0),
}
"""By what is changed, in the order of the table."""


@dataclass(frozen=True)
class Scored:
    """All settings on the validation year of a city.

    Attributes:
        days: shape (days,).
        positives: segments with an alert of each day, same shape.
        losses: by setting, summed over the segments of each day, same shape.
        hits: by setting and share of the length.
        prior_days: strengths that were chosen, by setting.
        segment_days: that were scored.
    """

    days: np.ndarray
    positives: np.ndarray
    losses: dict[str, np.ndarray]
    hits: dict[str, dict[int, float]]
    prior_days: dict[str, list[float]]
    segment_days: int

    def weekly(self) -> WeeklySums:
        """What the bootstrap draws from."""
        return weekly_sums(self.days, self.positives, self.losses)


def cells_of(name: str, data: Path, cache: Path) -> list[tuple[np.ndarray, range, np.ndarray, np.ndarray]]:
    """(days, test window, coverage, forecast of the cells) of each half of the validation year."""
    first = BENCHMARKS[name].cutoffs[0]
    benchmark = f"{name}_year_before"
    BENCHMARKS[benchmark] = replace(BENCHMARKS[name], cutoffs=quarters(first.year - 1, first.month, 4)[::2])
    made = []
    for fold in folds(benchmark, data, cache):
        before = fold.history.through(fold.validation.stop)
        fitted = forecaster(FORECASTER).fit(before, fold.train, fold.validation, FitContext(None))
        forecast = fitted.predict(fold.history, fold.test)
        made.append((fold.history.days(), fold.test, fold.history.in_coverage, forecast))
    return made


def score(town: Town, halves: list[tuple[np.ndarray, range, np.ndarray, np.ndarray]]) -> Scored:
    """All settings on both halves."""
    days, positives, segment_days = [], [], 0
    losses: dict[str, list[np.ndarray]] = {name: [] for name in CHANGES}
    found = {name: dict.fromkeys(LENGTHS, 0.0) for name in CHANGES}
    prior_days: dict[str, list[float]] = {name: [] for name in CHANGES}
    for all_days, test, in_coverage, forecast in halves:
        tested = all_days[test.start : test.stop]
        network = Network.of(town.parts, in_coverage)
        observed = town.alert_days(network, town.scored, tested).toarray()
        probability = np.zeros((len(test), town.parts.cells))
        probability[:, network.in_coverage] = forecast
        days.append(tested)
        positives.append(observed.sum(axis=1))
        segment_days += observed.size
        for name, settings in CHANGES.items():
            shares = StreetShares.fit(town.city, town.parts, town.learned.before(tested[0]), settings)
            expected = shares.divided(-shares.segments_per_day * np.log1p(-probability))[0][:, network.shown]
            losses[name].append(soft_losses(-np.expm1(-expected), observed).sum(axis=1))
            prior_days[name].append(shares.prior_days)
            for length, number in hits(expected, observed, network.metres).items():
                found[name][length] += number
    return Scored(
        np.concatenate(days),
        np.concatenate(positives),
        {name: np.concatenate(parts) for name, parts in losses.items()},
        found,
        prior_days,
        segment_days,
    )


def show(title: str, scored: Scored) -> None:
    """One Markdown table."""
    weekly, seen = scored.weekly(), scored.positives.sum()
    print(f"\n### {title}: {scored.segment_days:,} segment-days, {seen:,.0f} with an alert\n")
    lengths = " | ".join(f"hit rate of {length}%" for length in LENGTHS)
    print(f"| setting | prior, days | log loss | gain over the usual | {lengths} |\n{'| --- ' * (4 + len(LENGTHS))}|")
    for name, loss in scored.losses.items():
        gain = "" if name == "usual" else weekly_gain(weekly, name, "usual").text()
        rates = " | ".join(f"{scored.hits[name][length] / seen:.3f}" for length in LENGTHS)
        priors = ", ".join(f"{prior:.0f}" for prior in dict.fromkeys(scored.prior_days[name]))
        print(f"| {name} | {priors} | {loss.sum() / scored.segment_days:.6f} | {gain} | {rates} |", flush=True)


def show_together(by_city: dict[str, Scored]) -> None:
    """The gains over all cities."""
    weekly = [scored.weekly() for scored in by_city.values()]
    together = WeeklySums(
        np.concatenate([of_city.positives for of_city in weekly]),
        {name: np.concatenate([of_city.losses[name] for of_city in weekly]) for name in CHANGES},
    )
    print(f"\n### {', '.join(by_city)} together\n\n| setting | gain over the usual |\n| --- | --- |")
    for name in CHANGES:
        if name != "usual":
            print(f"| {name} | {weekly_gain(together, name, 'usual').text()} |", flush=True)


def main() -> None:
    """Forecast what is not in the cache, and print the tables."""
    chosen = parser(__doc__, cities=CITIES, choices=CITIES).parse_args()
    by_city: dict[str, Scored] = {}
    for name in chosen.cities:
        town, halves = Town.of(name, chosen.data), cells_of(name, chosen.data, chosen.cache)
        by_city[name] = score(town, halves)
        show(name, by_city[name])
        if name == "cincinnati":
            show(f"{name}, learned from rounded points", score(town.rounded(), halves))
    if len(by_city) > 1:
        show_together(by_city)


if __name__ == "__main__":
    main()
